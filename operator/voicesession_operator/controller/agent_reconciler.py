"""Resolves a VoiceAgent's memory, carries out requests to forget users, and writes the results to its status."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from voicesession_common import JsonObject
from voicesession_common.api.constants import FORGET_USER_ANNOTATION
from voicesession_common.api.voiceagent import Forgotten, VoiceAgent
from voicesession_common.bounds import LruDict
from voicesession_common.errors import NotFoundError
from voicesession_common.kube_client import AGENTS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, key_of
from voicesession_operator.controller.ports import EventSink
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.domain.agent_plan import (
    Failed,
    Invalid,
    Memory,
    NotConfigured,
    Unavailable,
    open_requests,
    plan_agent,
)
from voicesession_operator.domain.memory import Deleted

CHECK_SECONDS: Final = 300.0
"""Longest time until the manual deletion of a Letta agent is noticed."""
REQUESTS: Final = 4
"""Requests to forget a user that one reconcile carries out."""
ANSWERS: Final = 1_000
"""Answers kept until they are stored: after a conflict, the number of deleted Letta agents cannot be found again."""


class MemoryDirectory(Protocol):
    """The directory of VoiceAgents' memories; see clients.letta."""

    async def resolve(self, agent: VoiceAgent) -> Memory: ...


class UserForgetter(Protocol):
    """The deletion of users' memories; see controller.user_memory."""

    async def forget(self, agent: VoiceAgent, user: str) -> Deleted | Failed: ...


class AgentReconciler:
    """Reconciles VoiceAgents. `enqueue` receives the keys of sessions that wait for the agent's memory."""

    def __init__(
        self,
        kube: KubernetesApi,
        directory: MemoryDirectory,
        users: UserForgetter,
        recorder: EventSink,
        cache: Cache,
        enqueue: Callable[[Key], None],
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._directory = directory
        self._users = users
        self._recorder = recorder
        self._cache = cache
        self._enqueue = enqueue
        self._clock = clock
        self._answers: LruDict[tuple[str, str], Forgotten] = LruDict(ANSWERS)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one VoiceAgent. Return the seconds until the next run, if any; raise ExternalError."""
        started, outcome = time.monotonic(), "error"
        try:
            raw = self._cache.get(ResourceKind.AGENT, key)
            requeue_after = None if raw is None else await self._reconcile_agent(raw)
            outcome = "ok"
        finally:
            metrics.RECONCILE_SECONDS.labels("agent", outcome).observe(time.monotonic() - started)
        return requeue_after

    async def _reconcile_agent(self, raw: JsonObject) -> float | None:
        agent = VoiceAgent.parse(raw)
        memory, answers = await self._directory.resolve(agent), await self._answer_requests(agent)
        planned = plan_agent(agent, memory, self._clock(), answers)
        if planned.changed:
            stored = await write_status(
                self._kube, self._recorder, self._cache, ResourceKind.AGENT, raw, planned.status
            )
            if isinstance(stored, NotWritten):
                return stored.requeue_after
            self._enqueue_sessions(agent, stored)
            for event in planned.events:
                await self._recorder.record(ResourceKind.AGENT, stored, event)
        await self._remove_requests(agent, answers)
        return planned.requeue_after or (CHECK_SECONDS if agent.letta else None)

    def _enqueue_sessions(self, before: VoiceAgent, stored: JsonObject) -> None:
        if VoiceAgent.parse(stored).letta_agent_id != before.letta_agent_id:
            for session in self._cache.sessions_of(key_of(stored)):
                self._enqueue(session)

    async def _answer_requests(self, agent: VoiceAgent) -> tuple[Forgotten, ...]:
        """Carry out the requests to forget a user. One that Letta does not answer stays and is tried again."""
        answers = []
        for request, user in open_requests(agent)[:REQUESTS]:
            known = (agent.uid, request)
            answer = self._answers.get(known) or await self._answer_request(agent, request, user)
            if answer is not None:
                self._answers[known] = answer
                answers.append(answer)
        return tuple(answers)

    async def _answer_request(self, agent: VoiceAgent, request: str, user: str) -> Forgotten | None:
        found = await self._users.forget(agent, user)
        match found:
            case Deleted(count):
                return Forgotten(request, self._clock(), count)
            case Invalid(message):
                return Forgotten(request, self._clock(), problem=message)
            case NotConfigured():
                return Forgotten(request, self._clock(), problem="this installation has no Letta")
            case Unavailable():
                return None

    async def _remove_requests(self, agent: VoiceAgent, answers: tuple[Forgotten, ...]) -> None:
        """Remove the annotations of the requests whose answers are stored. Raise ExternalError."""
        answered = {item.request for item in (*agent.forgotten, *answers)}
        done = [request for request, _ in agent.forget_requests if request in answered]
        if done:
            patch = {"metadata": {"annotations": {f"{FORGET_USER_ANNOTATION}{request}": None for request in done}}}
            with suppress(NotFoundError):
                stored = await self._kube.patch(AGENTS, agent.namespace, agent.name, patch)
                self._cache.upsert(ResourceKind.AGENT, stored)
