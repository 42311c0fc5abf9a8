"""Resolves a VoiceAgent's memory and says so in its status."""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, Kind, key_of
from voicesession_operator.controller.ports import Kube, Recorder
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.domain.agent_plan import Memory, plan_agent

Object = dict[str, Any]

CHECK_SECONDS: Final = 300.0
"""How long a Letta agent that somebody deleted by hand may go unnoticed."""


class MemoryDirectory(Protocol):
    """Where memories are found; see adapters.letta."""

    async def resolve(self, agent: VoiceAgent) -> Memory: ...


class AgentReconciler:
    """`enqueue` gets the keys of sessions that wait for this agent's memory."""

    def __init__(
        self,
        kube: Kube,
        directory: MemoryDirectory,
        recorder: Recorder,
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
        """Seconds until the VoiceAgent wants to be looked at again. Raises ExternalError."""
        started, outcome = time.monotonic(), "error"
        try:
            raw = self._cache.get(Kind.AGENT, key)
            again = None if raw is None else await self._bring_in_line(raw)
            outcome = "ok"
        finally:
            metrics.RECONCILE_SECONDS.labels("agent", outcome).observe(time.monotonic() - started)
        return again

    async def _bring_in_line(self, raw: Object) -> float | None:
        agent = VoiceAgent.parse(raw)
        planned = plan_agent(agent, await self._directory.resolve(agent), self._clock())
        if planned.changed:
            stored = await write_status(self._kube, self._cache, Kind.AGENT, raw, planned.status)
            if isinstance(stored, NotWritten):
                return stored.again
            self._take(agent, stored)
            for event in planned.events:
                await self._recorder.record(Kind.AGENT, stored, event)
        return planned.requeue_after or (CHECK_SECONDS if agent.letta else None)

    def _take(self, before: VoiceAgent, stored: Object) -> None:
        if VoiceAgent.parse(stored).letta_agent_id != before.letta_agent_id:
            for session in self._cache.sessions_of(key_of(stored)):
                self._enqueue(session)
