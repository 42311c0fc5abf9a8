"""A queue of keys: each key is queued once and processed by one worker at a time, with backoff per key.

A key that is added while it is processed runs once more afterwards, so no change is missed.

News runs before polls. News is a watch event, a webhook, a pod's report, or the next step of a change in progress.
Polls are periodic looks and delays. After NEWS_IN_A_ROW news one poll runs, because deadlines are polls too.

Tenants take turns in both lanes. The keys of one tenant occupy at most `share` workers, so its pods may be silent.
"""

import asyncio
import logging
import random
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from itertools import chain
from typing import Final, Generic, TypeVar

from voicesession_common.errors import ExternalError

from voicesession_operator import metrics

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_LONGEST_SECONDS: Final = 30.0
STUCK_SECONDS: Final = 120.0
"""Every external request has a timeout of 10 s or less, so a key that takes this long is stuck."""
PROMPT_SECONDS: Final = 1.0
"""Delays shorter than this are steps of a change in progress: a join, a reset, a conflict."""
NEWS_IN_A_ROW: Final = 8


class _Lane(Generic[K]):
    """Waiting keys with the loop's time of their arrival; the tenants take turns."""

    def __init__(self, tenant_of: Callable[[K], str]) -> None:
        self._tenant_of = tenant_of
        self._turns: OrderedDict[str, OrderedDict[K, float]] = OrderedDict()

    def put(self, key: K, since: float) -> None:
        self._turns.setdefault(self._tenant_of(key), OrderedDict())[key] = since

    def pop(self, is_allowed: Callable[[str], bool]) -> tuple[K, float] | None:
        """Remove and return the first key of the next allowed tenant; its other keys wait for its next turn."""
        tenant = next(filter(is_allowed, self._turns), None)
        if tenant is None:
            return None
        key, since = self._turns[tenant].popitem(last=False)
        self._turns.move_to_end(tenant)
        self._drop_empty(tenant)
        return key, since

    def discard(self, key: K) -> float | None:
        """Remove the key. Return its time of arrival, None if it did not wait."""
        tenant = self._tenant_of(key)
        since = self._turns.get(tenant, OrderedDict[K, float]()).pop(key, None)
        self._drop_empty(tenant)
        return since

    def times(self) -> Iterator[float]:
        return (since for keys in self._turns.values() for since in keys.values())

    def __iter__(self) -> Iterator[K]:
        return (key for keys in self._turns.values() for key in keys)

    def __contains__(self, key: K) -> bool:
        return key in self._turns.get(self._tenant_of(key), ())

    def _drop_empty(self, tenant: str) -> None:
        if tenant in self._turns and not self._turns[tenant]:
            del self._turns[tenant]


class _Waiting(Generic[K]):
    """The waiting keys: news before polls."""

    def __init__(self, tenant_of: Callable[[K], str]) -> None:
        self._tenant_of = tenant_of
        self.clear()

    def clear(self) -> None:
        self._news, self._polls = _Lane(self._tenant_of), _Lane(self._tenant_of)
        self._length = self._news_in_a_row = 0

    def put(self, key: K, since: float, *, news: bool) -> None:
        """Add a key that does not wait, or move a waiting poll to the news."""
        if key in self._news or (key in self._polls and not news):
            return
        waited_since = self._polls.discard(key)
        self._length += waited_since is None
        (self._news if news else self._polls).put(key, since if waited_since is None else waited_since)

    def pop(self, is_allowed: Callable[[str], bool]) -> tuple[K, float] | None:
        """Remove and return the next key of an allowed tenant, with its time of arrival; None if there is none."""
        lanes = (self._news, self._polls)
        for lane in lanes if self._news_in_a_row < NEWS_IN_A_ROW else reversed(lanes):
            found = lane.pop(is_allowed)
            if found is not None:
                self._news_in_a_row = self._news_in_a_row + 1 if lane is self._news else 0
                self._length -= 1
                return found
        return None

    def times(self) -> Iterator[float]:
        return chain(self._news.times(), self._polls.times())

    def __iter__(self) -> Iterator[K]:
        return chain(self._news, self._polls)

    def __len__(self) -> int:
        return self._length


class WorkQueue(Generic[K]):
    """Processes keys with `handle(key)`, which returns the seconds until the next run of the key, or None.

    `tenant_of` returns the tenant of a key; by default there is one. `share` is a tenant's largest number of workers.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[K], Awaitable[float | None]],
        workers: int,
        tenant_of: Callable[[K], str] = lambda _: "",
        share: int | None = None,
    ) -> None:
        self.name = name
        self._handle = handle
        self._workers, self._tenant_of = workers, tenant_of
        self._share = workers if share is None else share
        self._waiting: _Waiting[K] = _Waiting(tenant_of)
        self._again: dict[K, bool] = {}
        """Running keys that were added meanwhile, and whether as news."""
        self._running: dict[K, float] = {}
        self._busy: Counter[str] = Counter()
        self._depth, self._wait = metrics.QUEUE_DEPTH.labels(name), metrics.QUEUE_WAIT_SECONDS.labels(name)
        self._timers: dict[K, tuple[asyncio.TimerHandle, bool]] = {}
        """Timers, and whether they give news."""
        self._failures: dict[K, int] = {}
        self._sleepers: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._accepts: Callable[[K], bool] = lambda _: True
        self._draining = False

    def add(self, key: K) -> None:
        """Process the key as news, as soon as a worker is free."""
        self._add(key, news=True)

    def add_poll(self, key: K) -> None:
        """Process the key once no news waits."""
        self._add(key, news=False)

    def add_after(self, key: K, seconds: float) -> None:
        """Process the key after `seconds`; of several such calls the earliest time wins."""
        if not self._accepts(key):
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, 0.0)
        timer = self._timers.get(key)
        if timer is not None:
            if timer[0].when() <= due:
                return
            timer[0].cancel()
        self._timers[key] = loop.call_at(due, self._fire, key), seconds < PROMPT_SECONDS

    async def run(self) -> None:
        """Process keys until canceled; then forget them, because a later term of leadership has a queue of its own."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            self._close()

    def _close(self) -> None:
        self._accepts = lambda _: False
        self._waiting.clear()
        for key in [*self._timers]:
            self._cancel_timer(key)
        self._depth.set(0)
        self._update_idle()

    async def drain(self, seconds: float, keep: Callable[[K], bool] = lambda _: False) -> bool:
        """Refuse new keys and wait for running ones. Return False if they did not finish in time.

        Keys for which `keep` is true are still processed: those that wait, those that are added later, and retries.
        """
        self._accepts, self._draining = keep, True
        waiting, delayed = [*self._waiting], [*self._timers]
        self._waiting.clear()
        for key in delayed:
            self._cancel_timer(key)
        for key in (*waiting, *delayed):
            self.add(key)
        self._update_idle()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def healthy(self) -> bool:
        """Return False when a key has been running longer than any reconcile can take."""
        oldest = asyncio.get_running_loop().time() - STUCK_SECONDS
        return all(started > oldest for started in self._running.values())

    def oldest(self) -> float:
        """Return the age in seconds of the oldest waiting or running key; 0 when there is none."""
        now = asyncio.get_running_loop().time()
        return now - min(chain(self._running.values(), self._waiting.times()), default=now)

    def _add(self, key: K, *, news: bool) -> None:
        if not self._accepts(key):
            return
        if key in self._running:
            self._again[key] = news or self._again.get(key, False)
        else:
            self._push(key, news=news)

    def _push(self, key: K, *, news: bool) -> None:
        self._waiting.put(key, asyncio.get_running_loop().time(), news=news)
        self._depth.set(len(self._waiting))
        while self._sleepers:
            sleeper = self._sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    def _fire(self, key: K) -> None:
        self._add(key, news=self._timers.pop(key)[1])
        self._update_idle()

    async def _work(self) -> None:
        while True:
            while found := self._waiting.pop(lambda tenant: self._busy[tenant] < self._share):
                await self._process(*found)
            # The keys that wait now belong to tenants with a full share; the workers of those take them next.
            self._sleepers.append(asyncio.get_running_loop().create_future())
            await self._sleepers[-1]

    async def _process(self, key: K, since: float) -> None:
        now, tenant = asyncio.get_running_loop().time(), self._tenant_of(key)
        self._depth.set(len(self._waiting))
        self._wait.observe(now - since)
        self._cancel_timer(key)
        self._running[key] = now
        self._busy[tenant] += 1
        self._update_idle()
        try:
            self._requeue(key, await self._attempt(key))
        finally:
            self._again.pop(key, None)
            del self._running[key]
            self._busy[tenant] -= 1
            if not self._busy[tenant]:
                del self._busy[tenant]
            self._update_idle()

    def _requeue(self, key: K, seconds: float | None) -> None:
        if key in self._again and self._accepts(key):
            self._push(key, news=self._again[key])
        elif seconds is not None:
            self.add_after(key, seconds)

    def _update_idle(self) -> None:
        """Set `_idle` while no key runs; in a drain, while no key waits either."""
        if self._running or (self._draining and (self._waiting or self._timers)):
            self._idle.clear()
        else:
            self._idle.set()

    async def _attempt(self, key: K) -> float | None:
        extra = {"queue": self.name, "key": str(key)}
        try:
            requeue_after = await self._handle(key)
        except ExternalError as error:
            log.warning("processing failed, will be retried", extra={**extra, "reason": error.reason})
            return self._backoff(key)
        except Exception:
            log.exception("unexpected error, will be retried", extra=extra)
            return self._backoff(key)
        self._failures.pop(key, None)
        return requeue_after

    def _backoff(self, key: K) -> float:
        metrics.QUEUE_RETRIES.labels(self.name).inc()
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 10), BACKOFF_LONGEST_SECONDS)
        return longest * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, no security

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer[0].cancel()
