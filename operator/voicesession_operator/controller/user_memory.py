"""Memories of users: looked up in the background when a session needs one, kept while fresh, and deleted."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from voicesession_common.api.reasons import Reason
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.bounds import LruDict

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, is_finished
from voicesession_operator.controller.ports import EventSink
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.actions import Event
from voicesession_operator.domain.agent_plan import (
    RETRY_SECONDS,
    Failed,
    Invalid,
    Memory,
    NotConfigured,
    Resolved,
    Unavailable,
)
from voicesession_operator.domain.memory import Deleted, RetentionStep, UserAgent, UserAgentPage, retention_step

log = logging.getLogger(__name__)

CAPACITY: Final = 10_000
"""More concurrent users than one operator is meant for. The least recently used is dropped and looked up again."""
WORKERS: Final = 4
"""Creating a Letta agent takes 0.2 to 1 s, and no reconcile waits for it."""
FRESH_SECONDS: Final = 300.0
"""Longest time until the manual deletion of a Letta agent is noticed."""
SWEEP_SECONDS: Final = 60.0
"""Interval in which one page of users' Letta agents is read."""
SWEEP_CHANGES: Final = 5
"""Most Letta agents that one sweep marks or deletes, so that a wrong clock or setting is noticed in time."""
FORGOTTEN, EXPIRED = "forgotten", "expired"
"""Values of the metric's label `cause`."""


class UserKey(NamedTuple):
    """Key of a memory: one user of one VoiceAgent."""

    agent: Key
    user: str

    def __str__(self) -> str:
        """Return the text for logs, which must not contain the user."""
        return str(self.agent)


class UserDirectory(Protocol):
    """The directory of users' memories; see clients.letta."""

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory: ...
    async def forget_user(self, agent: VoiceAgent, user: str) -> Deleted | Failed: ...
    async def user_agents(self, after: str) -> UserAgentPage | Failed: ...
    async def mark(self, found: UserAgent, used_at: float, retention_days: int) -> Deleted | Failed: ...
    async def expire(self, found: UserAgent) -> Deleted | Failed: ...


@dataclass(frozen=True)
class _Answer:
    memory: Memory
    at: float

    def is_fresh(self, now: float) -> bool:
        return now - self.at < (FRESH_SECONDS if isinstance(self.memory, Resolved) else RETRY_SECONDS)


class UserMemories:
    """Cache of users' memories, filled while `queue` runs.

    `enqueue` receives the sessions that wait for an answer; `clock` returns Unix seconds.
    """

    def __init__(
        self,
        directory: UserDirectory,
        cache: Cache,
        recorder: EventSink,
        enqueue: Callable[[Key], None],
        clock: Callable[[], float],
        capacity: int = CAPACITY,
    ) -> None:
        self._directory = directory
        self._cache = cache
        self._recorder = recorder
        self._enqueue = enqueue
        self._clock = clock
        self.queue: WorkQueue[UserKey] = WorkQueue("users", self.resolve, WORKERS)
        self._answers: LruDict[UserKey, _Answer] = LruDict(capacity)
        self._waiting: dict[UserKey, set[Key]] = {}
        self._cursor = ""
        """The last Letta agent that the sweep has finished; empty at the beginning of the list."""
        for kind in (Unavailable, Invalid, NotConfigured):
            metrics.USER_MEMORY_ERRORS.labels(kind.__name__)
        for cause in (FORGOTTEN, EXPIRED):
            metrics.USER_MEMORIES_DELETED.labels(cause)

    def lookup(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None:
        """Return the known memory without waiting; schedule a lookup if it is missing or stale.

        A finished session needs none: its lookup would create the memory again after the user was forgotten.
        """
        key = UserKey(Key(agent.namespace, agent.name), user)
        answer = self._answers.get(key)
        raw = self._cache.get(ResourceKind.SESSION, session)
        if raw is not None and is_finished(raw):
            return None if answer is None else answer.memory
        if answer is None or not answer.is_fresh(self._clock()):
            self._waiting.setdefault(key, set()).add(session)
            self.queue.add(key)
        else:
            self._answers.move_to_end(key)
        return None if answer is None else answer.memory

    async def resolve(self, key: UserKey) -> None:
        """Look up one user and enqueue the waiting sessions if the answer changed. Called by the work queue."""
        raw = self._cache.get(ResourceKind.AGENT, key.agent)
        sessions = self._waiting.pop(key, set())
        if raw is None:
            return
        found = await self._directory.resolve_user(VoiceAgent.parse(raw), key.user)
        before = self._answers.get(key)
        if not isinstance(found, Resolved):
            metrics.USER_MEMORY_ERRORS.labels(type(found).__name__).inc()
        self._answers[key] = _Answer(found, self._clock())
        if before is None or before.memory != found:
            for session in sessions:
                self._enqueue(session)

    async def forget(self, agent: VoiceAgent, user: str) -> Deleted | Failed:
        """Delete the memory of a user. Refuse while a session of that user is live, which would write to it."""
        key = UserKey(Key(agent.namespace, agent.name), user)
        session = self._live_session(key)
        if session is not None:
            return Invalid(f"the session {session.name} of this user is live")
        deleted = await self._directory.forget_user(agent, user)
        self._on_deleted(key, deleted, FORGOTTEN)
        return deleted

    async def run_retention(self) -> None:
        """Sweep periodically, forever. No error may end the task, because the leader would end with it."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:
                log.exception("unexpected error, will be retried", extra={"task": "retention"})

    async def sweep(self) -> None:
        """Mark and delete users' Letta agents of one page, a few at a time; continue there at the next call."""
        page = await self._directory.user_agents(self._cursor)
        if not isinstance(page, UserAgentPage):
            return
        changes = 0
        for found in page.agents:
            if changes == SWEEP_CHANGES:
                return
            step = self._step(found)
            changes += step is not RetentionStep.KEEP
            if not await self._carry_out(found, step):
                # Letta finds the next page by the last agent, so that agent must exist.
                self._cursor = found.agent_id
        if page.is_last:
            self._cursor = ""

    def _step(self, found: UserAgent) -> RetentionStep:
        is_live = found.owner is not None and self._live_session(_user_key(found.owner)) is not None
        return retention_step(found, self._retention_days(found), self._clock(), is_live=is_live)

    async def _carry_out(self, found: UserAgent, step: RetentionStep) -> bool:
        """Carry out the step. Return whether the Letta agent was deleted."""
        now, days = self._clock(), self._retention_days(found)
        if step is RetentionStep.MARK:
            await self._directory.mark(found, now if found.used_at is None else min(found.used_at, now), days)
        if step is not RetentionStep.DELETE or found.owner is None:
            return False
        key, deleted = _user_key(found.owner), await self._directory.expire(found)
        self._on_deleted(key, deleted, EXPIRED)
        raw = self._cache.get(ResourceKind.AGENT, key.agent)
        if deleted == Deleted(1) and raw is not None:
            message = f"The memory of a user was deleted: it was not used for {days} days"
            await self._recorder.record(ResourceKind.AGENT, raw, Event("Normal", Reason.MEMORY_EXPIRED, message))
        return deleted == Deleted(1)

    def _retention_days(self, found: UserAgent) -> int:
        """Return the days of the VoiceAgent, or the recorded ones once it has no memory or does not exist."""
        raw = None if found.owner is None else self._cache.get(ResourceKind.AGENT, _user_key(found.owner).agent)
        memory = None if raw is None else VoiceAgent.parse(raw).letta
        return found.retention_days if memory is None else memory.retention_days

    def _live_session(self, key: UserKey) -> Key | None:
        """Return an unfinished session of the user."""
        for session in self._cache.sessions_of(key.agent):
            raw = self._cache.get(ResourceKind.SESSION, session)
            if raw is not None and raw["spec"].get("user") == key.user and not is_finished(raw):
                return session
        return None

    def _on_deleted(self, key: UserKey, answer: Deleted | Failed, cause: str) -> None:
        if isinstance(answer, Deleted) and answer.count:
            self._answers.pop(key, None)
            metrics.USER_MEMORIES_DELETED.labels(cause).inc(answer.count)
            log.info("the memory of a user was deleted", extra={"agent": str(key.agent), "cause": cause})


def _user_key(owner: tuple[str, str, str]) -> UserKey:
    namespace, name, user = owner
    return UserKey(Key(namespace, name), user)
