"""A queue of keys: each key is queued once and processed by one worker at a time, with backoff per key.

A key that is added while it is processed runs once more afterwards, so no change is missed.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from itertools import islice
from typing import Final, Generic, TypeVar

from voicesession_common.errors import ExternalError

from voicesession_operator import metrics

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_LONGEST_SECONDS: Final = 30.0
STUCK_SECONDS: Final = 120.0
"""Every external request has a timeout of 10 s or less, so a key that takes this long is stuck."""


class WorkQueue(Generic[K]):
    """Processes keys with `handle(key)`, which returns the seconds until the next run of the key, or None."""

    def __init__(self, name: str, handle: Callable[[K], Awaitable[float | None]], workers: int) -> None:
        self.name = name
        self._handle = handle
        self._workers = workers
        self._waiting: deque[tuple[K, float]] = deque()
        """Keys in the order of their arrival, with the loop's time of arrival."""
        self._dirty: set[K] = set()
        self._running: dict[K, float] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Semaphore(0)
        self._idle = asyncio.Event()
        self._idle.set()
        self._accepts: Callable[[K], bool] = lambda _: True
        self._draining = False

    def add(self, key: K) -> None:
        """Process the key as soon as a worker is free."""
        if key in self._dirty or not self._accepts(key):
            return
        self._dirty.add(key)
        if key not in self._running:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Process the key after `seconds`; of several such calls the earliest time wins."""
        if not self._accepts(key):
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, 0.0)
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

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
        metrics.QUEUE_DEPTH.labels(self.name).set(0)
        self._update_idle()

    async def drain(self, seconds: float, keep: Callable[[K], bool] = lambda _: False) -> bool:
        """Refuse new keys and wait for running ones. Return False if they did not finish in time.

        Keys for which `keep` is true are still processed: those that wait, those that are added later, and retries.
        """
        self._accepts, self._draining = keep, True
        waiting, delayed = [*self._waiting], [*self._timers]
        self._waiting.clear()
        self._dirty.difference_update(key for key, _ in waiting)
        for key in delayed:
            self._cancel_timer(key)
        for key in (*(key for key, _ in waiting), *delayed):
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
        now = asyncio.get_running_loop().time()
        return all(now - started < STUCK_SECONDS for started in self._running.values())

    def oldest(self) -> float:
        """Return the age in seconds of the oldest waiting or running key; 0 when there is none."""
        times = [*self._running.values(), *(since for _, since in islice(self._waiting, 1))]
        return asyncio.get_running_loop().time() - min(times) if times else 0.0

    def _push(self, key: K) -> None:
        self._waiting.append((key, asyncio.get_running_loop().time()))
        metrics.QUEUE_DEPTH.labels(self.name).set(len(self._waiting))
        self._wake.release()

    def _fire(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
        self._update_idle()

    async def _work(self) -> None:
        while True:
            await self._wake.acquire()
            if self._waiting:
                await self._process(*self._waiting.popleft())

    async def _process(self, key: K, since: float) -> None:
        now = asyncio.get_running_loop().time()
        metrics.QUEUE_DEPTH.labels(self.name).set(len(self._waiting))
        metrics.QUEUE_WAIT_SECONDS.labels(self.name).observe(now - since)
        self._dirty.discard(key)
        self._cancel_timer(key)
        self._running[key] = now
        self._update_idle()
        try:
            self._requeue(key, await self._attempt(key))
        finally:
            del self._running[key]
            self._update_idle()

    def _requeue(self, key: K, seconds: float | None) -> None:
        if key in self._dirty and self._accepts(key):
            self._push(key)
        elif seconds is not None:
            self.add_after(key, seconds)

    def _update_idle(self) -> None:
        """Set `_idle` while no key runs; in a drain, while no key waits either."""
        if self._running or (self._draining and (self._waiting or self._timers)):
            self._idle.clear()
        else:
            self._idle.set()

    async def _attempt(self, key: K) -> float | None:
        try:
            requeue_after = await self._handle(key)
        except ExternalError as error:
            log.warning(
                "processing failed, will be retried",
                extra={"queue": self.name, "key": str(key), "reason": error.reason},
            )
            return self._backoff(key)
        except Exception:
            log.exception("unexpected error, will be retried", extra={"queue": self.name, "key": str(key)})
            return self._backoff(key)
        self._failures.pop(key, None)
        return requeue_after

    def _backoff(self, key: K) -> float:
        metrics.QUEUE_RETRIES.labels(self.name).inc()
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        longest = min(BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 10), BACKOFF_LONGEST_SECONDS)
        return longest * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, no security

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
