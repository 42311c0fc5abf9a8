"""Resolves a VoiceAgent's memory and writes the result to its status."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from voicesession_common import JsonObject
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.kube_client import KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, key_of
from voicesession_operator.controller.ports import EventSink
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.domain.agent_plan import Memory, plan_agent

CHECK_SECONDS: Final = 300.0
"""Longest time until the manual deletion of a Letta agent is noticed."""


class MemoryDirectory(Protocol):
    """The directory of VoiceAgents' memories; see clients.letta."""

    async def resolve(self, agent: VoiceAgent) -> Memory: ...


class AgentReconciler:
    """Reconciles VoiceAgents. `enqueue` receives the keys of sessions that wait for the agent's memory."""

    def __init__(
        self,
        kube: KubernetesApi,
        directory: MemoryDirectory,
        recorder: EventSink,
        cache: Cache,
        enqueue: Callable[[Key], None],
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._directory = directory
        self._recorder = recorder
        self._cache = cache
        self._enqueue = enqueue
        self._clock = clock

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
        planned = plan_agent(agent, await self._directory.resolve(agent), self._clock())
        if planned.changed:
            stored = await write_status(
                self._kube, self._recorder, self._cache, ResourceKind.AGENT, raw, planned.status
            )
            if isinstance(stored, NotWritten):
                return stored.requeue_after
            self._enqueue_sessions(agent, stored)
            for event in planned.events:
                await self._recorder.record(ResourceKind.AGENT, stored, event)
        return planned.requeue_after or (CHECK_SECONDS if agent.letta else None)

    def _enqueue_sessions(self, before: VoiceAgent, stored: JsonObject) -> None:
        if VoiceAgent.parse(stored).letta_agent_id != before.letta_agent_id:
            for session in self._cache.sessions_of(key_of(stored)):
                self._enqueue(session)
