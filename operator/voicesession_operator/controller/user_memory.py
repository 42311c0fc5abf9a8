"""Where each user is remembered: looked up in the background when a session asks, and kept while it is fresh."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, Kind
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.agent_plan import RETRY_SECONDS, Invalid, Memory, NotConfigured, Resolved, Unavailable

CAPACITY: Final = 10_000
"""More users at a time than one operator is meant for; who asked longest ago goes first, and is looked up again."""
WORKERS: Final = 4
"""Making a Letta agent takes 0.2 to 1 s, and nobody waits for it."""
FRESH_SECONDS: Final = 300.0
"""How long a Letta agent that somebody deleted by hand may go unnoticed."""


class UserKey(NamedTuple):
    """Whose memory: a user of one VoiceAgent."""

    agent: Key
    user: str

    def __str__(self) -> str:
        """For logs: who the user is, is nobody's business there."""
        return str(self.agent)


class UserDirectory(Protocol):
    """Where memories are found; see adapters.letta."""

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory: ...


@dataclass(frozen=True)
class _Answer:
    memory: Memory
    at: float

    def is_fresh(self, now: float) -> bool:
        return now - self.at < (FRESH_SECONDS if isinstance(self.memory, Resolved) else RETRY_SECONDS)


class UserMemories:
    """`enqueue` gets the sessions that waited; `clock` gives Unix seconds. Works while `queue` runs."""

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
        self._capacity = capacity
        self.queue: WorkQueue[UserKey] = WorkQueue("users", self.resolve, WORKERS)
        self._answers: OrderedDict[UserKey, _Answer] = OrderedDict()
        self._waiting: dict[UserKey, set[Key]] = {}
        for kind in (Unavailable, Invalid, NotConfigured):
            metrics.USER_MEMORY_ERRORS.labels(kind.__name__)

    def of(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None:
        """What is known by now; asks for what is not. Never waits."""
        key = UserKey(Key(agent.namespace, agent.name), user)
        answer = self._answers.get(key)
        if answer is None or not answer.is_fresh(self._clock()):
            self._waiting.setdefault(key, set()).add(session)
            self.queue.add(key)
        else:
            self._answers.move_to_end(key)
        return None if answer is None else answer.memory

    async def resolve(self, key: UserKey) -> None:
        """Look up one user and wake the sessions for which that is news. Called by the work queue."""
        raw = self._cache.get(Kind.AGENT, key.agent)
        sessions = self._waiting.pop(key, set())
        if raw is None:
            return
        found = await self._directory.resolve_user(VoiceAgent.parse(raw), key.user)
        before = self._answers.get(key)
        if not isinstance(found, Resolved):
            metrics.USER_MEMORY_ERRORS.labels(type(found).__name__).inc()
        self._keep(key, found)
        if before is None or before.memory != found:
            for session in sessions:
                self._enqueue(session)

    def _keep(self, key: UserKey, memory: Memory) -> None:
        self._answers[key] = _Answer(memory, self._clock())
        self._answers.move_to_end(key)
        while len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
