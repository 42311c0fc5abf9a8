"""Memories of users: looked up in the background when a session needs one, and kept while fresh."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.bounds import LruDict

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.agent_plan import RETRY_SECONDS, Invalid, Memory, NotConfigured, Resolved, Unavailable

CAPACITY: Final = 10_000
"""More concurrent users than one operator is meant for. The least recently used is dropped and looked up again."""
WORKERS: Final = 4
"""Creating a Letta agent takes 0.2 to 1 s, and no reconcile waits for it."""
FRESH_SECONDS: Final = 300.0
"""Longest time until the manual deletion of a Letta agent is noticed."""


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
        enqueue: Callable[[Key], None],
        clock: Callable[[], float],
        capacity: int = CAPACITY,
    ) -> None:
        self._directory = directory
        self._cache = cache
        self._enqueue = enqueue
        self._clock = clock
        self.queue: WorkQueue[UserKey] = WorkQueue("users", self.resolve, WORKERS)
        self._answers: LruDict[UserKey, _Answer] = LruDict(capacity)
        self._waiting: dict[UserKey, set[Key]] = {}
        for kind in (Unavailable, Invalid, NotConfigured):
            metrics.USER_MEMORY_ERRORS.labels(kind.__name__)

    def lookup(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None:
        """Return the known memory without waiting; schedule a lookup if it is missing or stale."""
        key = UserKey(Key(agent.namespace, agent.name), user)
        answer = self._answers.get(key)
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
