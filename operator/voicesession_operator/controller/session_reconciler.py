"""Observe, plan, act, until the plan asks for nothing more; then one status write, and events only after it."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.errors import NotFoundError, RetryableError
from voicesession_common.kube_client import AGENTS

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, Kind, agent_of, key_of
from voicesession_operator.controller.executor import Executor
from voicesession_operator.controller.observation import owned_pods
from voicesession_operator.controller.ports import Control, Kube, News, Recorder, Rooms, UserMemories
from voicesession_operator.controller.session_metrics import Chronicle, count_changes
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.controller.webhook_tracking import Hints, WebhookLosses
from voicesession_operator.domain.actions import CreatePod, DeleteSession, Plan
from voicesession_operator.domain.config import Config
from voicesession_operator.domain.lifecycle import cleanup_actions
from voicesession_operator.domain.memory import has_user_memory
from voicesession_operator.domain.naming import room_name
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Failure, Observed, RoomUnknown
from voicesession_operator.domain.plan import plan

Object = dict[str, Any]

ROUNDS: Final = 6
"""A decision to store, room and pod, then the pod's orders, then a look at the result; two to spare."""
JITTER: Final = 0.2
SLACK_SECONDS: Final = 0.002
"""A deadline that is met a little early costs another look, since its time has not come."""


@dataclass(frozen=True)
class Outside:
    """Everything a reconcile talks to."""

    kube: Kube
    rooms: Rooms
    control: Control
    recorder: Recorder
    memories: UserMemories
    news: News


class SessionReconciler:
    """Brings one VoiceSession's world in line with it; called by the work queue, one call per key at a time."""

    def __init__(
        self,
        outside: Outside,
        executor: Executor,
        cache: Cache,
        hints: Hints,
        policy: Config,
        clock: Callable[[], float],
        losses: WebhookLosses,
        traces: SessionTraces = OFF,
    ) -> None:
        self._outside = outside
        self._executor = executor
        self._cache = cache
        self._hints = hints
        self._policy = policy
        self._clock = clock
        self._losses = losses
        self._chronicle = Chronicle(traces)

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until the session wants to be looked at again. Raises ExternalError."""
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
            self._forget(key)
            return None
        return await self._bring_in_line(found)

    def _forget(self, key: Key) -> None:
        self._hints.forget(key)
        self._losses.forget(key)
        self._outside.news.follow(key, ())

    async def _clean_up(self, raw: Object) -> None:
        session = VoiceSession.parse(raw)
        actions = cleanup_actions(session, owned_pods(self._cache.pods_of(session.uid), session.uid))
        failures = await self._execute(session, None, Plan(session.status, actions))
        if failures:
            raise RetryableError(failures[0].reason, failures[0].message)
        self._losses.forget(key_of(raw))
        self._cache.cleaned_up(raw)

    async def _bring_in_line(self, raw: Object) -> float | None:
        agent = await self._agent(agent_of(raw))
        session = VoiceSession.parse(raw, agent.spec if agent else None)
        observed = await self._observe(session, agent, ())
        for _ in range(ROUNDS):
            now = self._clock()
            planned = plan(session, observed, now, self._policy)
            if planned.is_decision:
                stored = await self._store(raw, session, planned, observed)
                if isinstance(stored, NotWritten):
                    return stored.again
                # What was seen a moment ago still holds, and the pod is told sooner.
                raw, session = stored, VoiceSession.parse(stored, agent.spec if agent else None)
                continue
            if not planned.actions:
                break
            failed = await self._execute(session, agent, planned)
            if _deleted(planned, failed):
                return None
            observed = await self._observe(session, agent, (*observed.failures, *failed))
        stored = await self._store(raw, session, planned, observed)
        if isinstance(stored, NotWritten):
            return stored.again
        return 0.0 if planned.actions else self._again(planned, now)

    async def _agent(self, key: Key) -> VoiceAgent | None:
        """From the cache; asked for where it is not there yet, since sessions and agents are watched separately."""
        raw = self._cache.get(Kind.AGENT, key)
        if raw is None:
            try:
                raw = await self._outside.kube.get(AGENTS, key.namespace, key.name)
            except NotFoundError:
                return None
            self._cache.upsert(Kind.AGENT, raw)
        return VoiceAgent.parse(raw)

    async def _observe(
        self, session: VoiceSession, agent: VoiceAgent | None, failures: tuple[Failure, ...]
    ) -> Observed:
        pods = owned_pods(self._cache.pods_of(session.uid), session.uid)
        room, states = await asyncio.gather(self._outside.rooms.observe(room_name(session.uid)), self._ask(pods))
        key = Key(session.namespace, session.name)
        wanted = has_user_memory(session, agent)
        memory = self._outside.memories.of(agent, session.user, key) if agent and wanted else None
        observed = Observed(agent, pods, room, states, memory, self._hints.leave(key), failures)
        over = session.status.finished_at is not None or session.deleting
        # What pods say matters only while the session lives.
        self._outside.news.follow(key, () if over else (pod for pod in pods if observed.state_of(pod)))
        self._measure(session, key, observed, over=over)
        return observed

    def _measure(self, session: VoiceSession, key: Key, observed: Observed, *, over: bool) -> None:
        """What only metrics want to know of a look."""
        if over:
            self._losses.forget(key)
            self._chronicle.looked(session, observed, self._clock())
        elif not isinstance(observed.room, RoomUnknown):
            self._losses.looked(key, observed.room)

    async def _ask(self, pods: tuple[AgentPod, ...]) -> dict[str, AgentPodState]:
        """More than one pod only during a recycle."""
        reachable = [pod for pod in pods if pod.live and pod.ip]
        answers = await asyncio.gather(*(self._outside.control.state(pod.ip, pod.uid) for pod in reachable))
        found = zip(reachable, answers, strict=True)
        return {pod.uid: answer for pod, answer in found if answer is not None}

    async def _execute(self, session: VoiceSession, agent: VoiceAgent | None, planned: Plan) -> tuple[Failure, ...]:
        outcomes = await asyncio.gather(
            *(self._executor.carry_out(session, agent, action) for action in planned.actions)
        )
        if any(isinstance(action, CreatePod) for action in planned.actions):
            self._chronicle.pod_made(session.uid, self._clock())
        return tuple(failure for failure in outcomes if failure is not None)

    async def _store(
        self, raw: Object, session: VoiceSession, planned: Plan, observed: Observed
    ) -> Object | NotWritten:
        """Write the status if it changed, then record events. A lost race only means another look."""
        rendered = planned.status.render()
        if rendered == session.status.render():
            return raw
        stored = await write_status(self._outside.kube, self._cache, Kind.SESSION, raw, rendered)
        if not isinstance(stored, NotWritten):
            count_changes(session, planned.status)
            self._chronicle.stored(session, planned.status, observed)
            for event in planned.events:
                await self._outside.recorder.record(Kind.SESSION, stored, event)
        return stored

    def _again(self, planned: Plan, now: float) -> float | None:
        """Polls are spread, so that sessions that began together do not poll together; deadlines are kept.

        They count from the plan, made at `now`: the status write since then has taken some 10 ms.
        """
        wait = planned.requeue_after
        if wait is None:
            return None
        if wait < self._policy.poll_seconds:
            return max(wait - max(self._clock() - now - SLACK_SECONDS, 0.0), 0.0)
        return wait * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing


def _deleted(planned: Plan, failed: tuple[Failure, ...]) -> bool:
    asked = any(isinstance(action, DeleteSession) for action in planned.actions)
    return asked and all(failure.action != DeleteSession.__name__ for failure in failed)
