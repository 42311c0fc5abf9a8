"""Observe, plan, act, until the plan asks for nothing more; then one status write, and events only after it."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_operator.adapters.errors import NotFound, Retryable
from voicesession_operator.adapters.kube import AGENTS
from voicesession_operator.api.agent import VoiceAgent
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.controller.cache import Cache, Key, Kind, agent_of
from voicesession_operator.controller.executor import Executor
from voicesession_operator.controller.hints import Hints
from voicesession_operator.controller.pods import owned_pods
from voicesession_operator.controller.ports import Control, Kube, Recorder, Rooms
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.domain.actions import DeleteSession, Plan
from voicesession_operator.domain.naming import room_name
from voicesession_operator.domain.observed import Failure, Observed, Pod, PodState
from voicesession_operator.domain.plan import farewell, plan
from voicesession_operator.domain.policy import Policy
from voicesession_operator.telemetry import metrics

Object = dict[str, Any]

ROUNDS: Final = 4
"""Room and pod, then the pod's orders, then a look at the result; one to spare."""
JITTER: Final = 0.2


@dataclass(frozen=True)
class Outside:
    """Everything a reconcile talks to."""

    kube: Kube
    rooms: Rooms
    control: Control
    recorder: Recorder


class SessionReconciler:
    """Brings one VoiceSession's world in line with it; called by the work queue, one call per key at a time."""

    def __init__(
        self,
        outside: Outside,
        executor: Executor,
        cache: Cache,
        hints: Hints,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        self._outside = outside
        self._executor = executor
        self._cache = cache
        self._hints = hints
        self._policy = policy
        self._clock = clock

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until the session wants to be looked at again. Raises OutsideError."""
        started, outcome = time.monotonic(), "error"
        try:
            again = await self._reconcile(key)
            outcome = "ok"
        finally:
            metrics.RECONCILE_SECONDS.labels("session", outcome).observe(time.monotonic() - started)
        return again

    async def _reconcile(self, key: Key) -> float | None:
        for raw in self._cache.departed(key):
            await self._clean_up(raw)
        found = self._cache.get(Kind.SESSION, key)
        if found is None:
            self._hints.forget(key)
            return None
        return await self._bring_in_line(found)

    async def _clean_up(self, raw: Object) -> None:
        session = VoiceSession.parse(raw)
        actions = farewell(session, owned_pods(self._cache.pods_of(session.uid), session.uid))
        failures = await self._execute(session, None, Plan(session.status, actions))
        if failures:
            raise Retryable(failures[0].reason, failures[0].message)
        self._cache.cleaned_up(raw)

    async def _bring_in_line(self, raw: Object) -> float | None:
        agent = await self._agent(agent_of(raw))
        session = VoiceSession.parse(raw, agent.spec if agent else None)
        failures: tuple[Failure, ...] = ()
        for _ in range(ROUNDS):
            planned = plan(session, await self._observe(session, agent, failures), self._clock(), self._policy)
            if not planned.actions:
                return await self._store(raw, session, planned)
            failed = await self._execute(session, agent, planned)
            if _deleted(planned, failed):
                return None
            failures += failed
        await self._store(raw, session, planned)
        return 0.0

    async def _agent(self, key: Key) -> VoiceAgent | None:
        """From the cache; asked for where it is not there yet, since sessions and agents are watched separately."""
        raw = self._cache.get(Kind.AGENT, key)
        if raw is None:
            try:
                raw = await self._outside.kube.get(AGENTS, key.namespace, key.name)
            except NotFound:
                return None
            self._cache.upsert(Kind.AGENT, raw)
        return VoiceAgent.parse(raw)

    async def _observe(
        self, session: VoiceSession, agent: VoiceAgent | None, failures: tuple[Failure, ...]
    ) -> Observed:
        pods = owned_pods(self._cache.pods_of(session.uid), session.uid)
        room, state = await asyncio.gather(self._outside.rooms.observe(room_name(session.uid)), self._ask(pods))
        leave = self._hints.leave(Key(session.namespace, session.name))
        return Observed(agent, pods, room, state, leave, failures)

    async def _ask(self, pods: tuple[Pod, ...]) -> PodState | None:
        reachable = [pod for pod in pods if pod.live and pod.ip]
        if not reachable:
            return None
        newest = max(reachable, key=lambda pod: pod.ordinal)
        return await self._outside.control.state(newest.ip, newest.uid)

    async def _execute(self, session: VoiceSession, agent: VoiceAgent | None, planned: Plan) -> tuple[Failure, ...]:
        outcomes = await asyncio.gather(
            *(self._executor.carry_out(session, agent, action) for action in planned.actions)
        )
        return tuple(failure for failure in outcomes if failure is not None)

    async def _store(self, raw: Object, session: VoiceSession, planned: Plan) -> float | None:
        """Write the status if it changed, then record events. A lost race only means another look."""
        if planned.status.render() != session.status.render():
            rendered = planned.status.render()
            stored = await write_status(self._outside.kube, self._cache, Kind.SESSION, raw, rendered)
            if isinstance(stored, NotWritten):
                return stored.again
            _count(session, planned.status)
            for event in planned.events:
                await self._outside.recorder.record(Kind.SESSION, stored, event)
        return self._again(planned)

    def _again(self, planned: Plan) -> float | None:
        """Polls are spread, so that sessions that began together do not poll together; deadlines are kept."""
        wait = planned.requeue_after
        if wait is None or wait < self._policy.poll_seconds:
            return wait
        return wait * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing


def _deleted(planned: Plan, failed: tuple[Failure, ...]) -> bool:
    asked = any(isinstance(action, DeleteSession) for action in planned.actions)
    return asked and all(failure.action != DeleteSession.__name__ for failure in failed)


def _count(session: VoiceSession, new: Status) -> None:
    old = session.status
    if old.ready_at is None and new.ready_at is not None:
        metrics.READY_SECONDS.observe(max(new.ready_at - session.created_at, 0.0))
    if old.finished_at is None and new.finished_at is not None:
        metrics.SESSIONS_FINISHED.labels(new.end_reason).inc()
    metrics.REPLACEMENTS.inc(max(new.replacements - old.replacements, 0))
