"""Reconciles a session: observe, plan and act until no action remains; then one status write, then events."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.reasons import EndReason
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.bounds import LruDict
from voicesession_common.errors import NotFoundError, RetryableError
from voicesession_common.kube_client import AGENTS, PODS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, agent_of, key_of, uid_of
from voicesession_operator.controller.executor import Executor
from voicesession_operator.controller.observation import RoomDirectory, SessionObserver
from voicesession_operator.controller.pod_watcher import owned_pods
from voicesession_operator.controller.ports import EventSink, PodStates, UserMemoryLookup
from voicesession_operator.controller.session_metrics import SessionTimings, count_changes
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.controller.webhook_tracking import LeaveHints, LostWebhookCounter
from voicesession_operator.domain.actions import Action, CreatePod, DeleteSession, Plan
from voicesession_operator.domain.lifecycle import cleanup_actions
from voicesession_operator.domain.memory import has_user_memory
from voicesession_operator.domain.naming import room_name
from voicesession_operator.domain.observed import RETRY_SECONDS, Config, Failure, Observed, Room, RoomUnknown
from voicesession_operator.domain.plan import plan
from voicesession_operator.domain.requeue import room_reports

PARSED_AGENTS: Final = 1000
ROUNDS: Final = 6
"""Store a decision, create room and pod, send the desired state, check the result; two more in reserve."""
JITTER: Final = 0.2
SLACK_SECONDS: Final = 0.002
"""Added to deadlines: a run just before a deadline would need another run."""


@dataclass(frozen=True)
class _Steady:
    """The input of a plan that changed nothing."""

    objects: tuple[JsonObject | None, ...]
    """The session, its VoiceAgent and its pods, as cached."""
    room: str
    user: str
    observed: Observed
    until: float
    """Unix seconds of the next deadline."""


@dataclass(frozen=True)
class Clients:
    """External systems of a reconcile."""

    kube: KubernetesApi
    rooms: RoomDirectory
    recorder: EventSink
    memories: UserMemoryLookup
    pod_watcher: PodStates


class SessionReconciler:
    """Reconciles VoiceSessions; the work queue runs at most one call per key at a time."""

    def __init__(
        self,
        clients: Clients,
        executor: Executor,
        cache: Cache,
        leave_hints: LeaveHints,
        config: Config,
        clock: Callable[[], float],
        lost_webhooks: LostWebhookCounter,
        traces: SessionTraces = OFF,
    ) -> None:
        self._clients = clients
        self._executor = executor
        self._cache = cache
        self._leave_hints = leave_hints
        self._config = config
        self._clock = clock
        self._lost_webhooks = lost_webhooks
        self._timings = SessionTimings(traces)
        self._steady: dict[Key, _Steady] = {}
        self._agents: LruDict[Key, tuple[JsonObject, VoiceAgent]] = LruDict(PARSED_AGENTS)
        """VoiceAgents as cached, and parsed: one may have thousands of sessions."""
        self._observer = SessionObserver(
            cache, clients.rooms, clients.pod_watcher, clients.memories, leave_hints, clock, config.poll_seconds
        )

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one session. Return the seconds until the next run, if any; raise ExternalError."""
        started, outcome = time.monotonic(), "error"
        try:
            requeue_after = await self._reconcile_key(key)
            outcome = "ok"
        finally:
            metrics.RECONCILE_SECONDS.labels("session", outcome).observe(time.monotonic() - started)
        return requeue_after

    async def _reconcile_key(self, key: Key) -> float | None:
        for raw in self._cache.deleted_sessions(key):
            await self._clean_up(raw)
        found, steady = self._cache.get(ResourceKind.SESSION, key), self._steady.pop(key, None)
        if found is not None and steady is not None and await self._is_unchanged(key, found, steady):
            self._steady[key] = steady
            left = steady.until - self._clock() + SLACK_SECONDS
            return max(min(self._poll_seconds(), left), 0.0)
        if found is not None:
            return await self._reconcile_session(found)
        self._leave_hints.forget(key)
        self._observer.forget(key)
        self._lost_webhooks.forget(key)
        self._clients.pod_watcher.follow(key, ())
        return None

    async def _is_unchanged(self, key: Key, raw: JsonObject, steady: _Steady) -> bool:
        """Return whether the plan would be made of the same input, at no cost but a comparison.

        It counts as a look at the session: reports of the pod and of webhooks, the list of rooms and the age of the
        list of participants are checked as in `SessionObserver.observe`.
        """
        if self._clock() >= steady.until or not _are_identical(self._objects(raw), steady.objects):
            return False
        self._observer.watch(key)
        agent, before = steady.observed.agent, steady.observed
        found = await self._clients.rooms.find(steady.room)
        states = await self._observer.pod_states([pod for pod in before.pods if pod.live and pod.ip])
        memory = self._clients.memories.lookup(agent, steady.user, key) if agent and steady.user else None
        seen = states, self._leave_hints.hints(key), memory
        if not isinstance(found, Room) or seen != (before.pod_states, before.leave_hints, before.user_memory):
            return False
        return not self._clients.rooms.is_look_due(steady.room, self._leave_hints.events(key), room_reports(states))

    def _objects(self, raw: JsonObject) -> tuple[JsonObject | None, ...]:
        pods = self._cache.pods_of(key_of(raw).namespace, uid_of(raw))
        return (raw, self._cache.get(ResourceKind.AGENT, agent_of(raw)), *pods)

    async def _clean_up(self, raw: JsonObject) -> None:
        session = VoiceSession.parse(raw)
        actions = cleanup_actions(session, owned_pods(self._cache.pods_of(session.namespace, session.uid), session))
        failures = await self._execute(session, None, Plan(session.status, actions))
        if failures:
            raise RetryableError(failures[0].reason, failures[0].message)
        self._lost_webhooks.forget(key_of(raw))
        self._cache.forget_deleted(raw)

    async def _reconcile_session(self, raw: JsonObject) -> float | None:
        agent = await self._agent(agent_of(raw))
        session = VoiceSession.parse(raw, agent.spec if agent else None)
        await self._find_recorded_pods(session)
        objects = self._objects(raw)
        observed = await self._observe(session, agent)
        executed: list[Action] = []
        for _ in range(ROUNDS):
            now = self._clock()
            planned = plan(session, observed, now, self._config)
            if _is_final(session, planned) and (observed.is_room_cached or _is_idle(planned)):
                observed = await self._observe(session, agent, observed.failures, fresh=True)
                planned = plan(session, observed, self._clock(), self._config)
            if planned.is_decision:
                stored = await self._store(raw, session, planned, observed)
                if isinstance(stored, NotWritten):
                    return stored.requeue_after
                # The observation is milliseconds old and still valid; reusing it reaches the pod sooner.
                raw, session = stored, VoiceSession.parse(stored, agent.spec if agent else None)
                continue
            pending = tuple(action for action in planned.actions if action not in executed)
            if not pending:
                break
            failed = await self._execute(session, agent, replace(planned, actions=pending))
            executed += pending
            if _is_session_deleted(planned, failed):
                return None
            observed = await self._observe(session, agent, (*observed.failures, *failed))
        stored = await self._store(raw, session, planned, observed)
        if isinstance(stored, NotWritten):
            return stored.requeue_after
        if not executed and planned.steady_until > now:
            user = session.user if has_user_memory(session, agent) else ""
            steady = _Steady(objects, room_name(session.uid), user, observed, planned.steady_until)
            self._steady[Key(session.namespace, session.name)] = steady
        return self._requeue_after(planned, now)

    async def _agent(self, key: Key) -> VoiceAgent | None:
        """Return the VoiceAgent from the cache, or from the API server: its watch may be behind the sessions' watch."""
        raw = self._cache.get(ResourceKind.AGENT, key)
        if raw is None:
            try:
                raw = await self._clients.kube.get(AGENTS, key.namespace, key.name)
            except NotFoundError:
                self._agents.pop(key, None)
                return None
            self._cache.upsert(ResourceKind.AGENT, raw)
        known = self._agents.get(key)
        if known is None or known[0] is not raw:
            known = self._agents[key] = raw, VoiceAgent.parse(raw)
        return known[1]

    async def _find_recorded_pods(self, session: VoiceSession) -> None:
        """Read the pods of the status that the cache lacks, so that no successor is created beside a running pod.

        The watch selects pods by label, and a new leader has never seen a pod that lost it.
        """
        known = {pod.name for pod in owned_pods(self._cache.pods_of(session.namespace, session.uid), session)}
        for name in {session.status.agent_pod, session.status.next_pod} - known - {""}:
            with suppress(NotFoundError):
                raw = await self._clients.kube.get(PODS, session.namespace, name)
                if owned_pods([raw], session):
                    self._cache.upsert(ResourceKind.POD, raw)

    async def _observe(
        self,
        session: VoiceSession,
        agent: VoiceAgent | None,
        failures: tuple[Failure, ...] = (),
        *,
        fresh: bool = False,
    ) -> Observed:
        observed = await self._observer.observe(session, agent, failures, fresh=fresh)
        key = Key(session.namespace, session.name)
        if session.status.finished_at is not None or session.deleting:
            self._lost_webhooks.forget(key)
            self._observer.forget(key)
            self._timings.on_observed(session, observed, self._clock())
            return observed
        if not isinstance(observed.room, RoomUnknown):
            self._lost_webhooks.on_observed(key, observed.room)
        return observed

    async def _execute(self, session: VoiceSession, agent: VoiceAgent | None, planned: Plan) -> tuple[Failure, ...]:
        outcomes = await asyncio.gather(*(self._executor.execute(session, agent, action) for action in planned.actions))
        if any(isinstance(action, CreatePod) for action in planned.actions):
            self._timings.on_pod_created(session.uid, self._clock())
        return tuple(failure for failure in outcomes if failure is not None)

    async def _store(
        self, raw: JsonObject, session: VoiceSession, planned: Plan, observed: Observed
    ) -> JsonObject | NotWritten:
        """Write the status if it changed, then record the events."""
        if planned.status == session.status:
            return raw
        rendered = planned.status.render()
        if rendered == session.status.render():
            return raw
        kube, recorder = self._clients.kube, self._clients.recorder
        stored = await write_status(kube, recorder, self._cache, ResourceKind.SESSION, raw, rendered)
        if not isinstance(stored, NotWritten):
            count_changes(session, planned.status)
            self._timings.on_status_stored(session, planned.status, observed)
            for event in planned.events:
                await self._clients.recorder.record(ResourceKind.SESSION, stored, event)
        return stored

    def _requeue_after(self, planned: Plan, now: float) -> float | None:
        """Return the seconds until the next run.

        Actions that remain have been executed and show no effect yet: they wait as long as failed ones.
        Polls get a jitter, so that sessions started together do not poll together. Deadlines are exact: they count
        from the plan at `now`, and the status write has taken some 10 ms since. A finished session has one deadline.
        """
        waits = [planned.requeue_after, RETRY_SECONDS if planned.actions else None]
        wait = min((seconds for seconds in waits if seconds is not None), default=None)
        if wait is None:
            return None
        if wait < self._config.poll_seconds or planned.status.finished_at is not None:
            return max(wait - max(self._clock() - now - SLACK_SECONDS, 0.0), 0.0)
        return self._poll_seconds()

    def _poll_seconds(self) -> float:
        """Return the seconds until the next poll."""
        return self._config.poll_seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load


def _are_identical(now: tuple[object, ...], before: tuple[object, ...]) -> bool:
    return len(now) == len(before) and all(new is old for new, old in zip(now, before, strict=True))


def _is_final(session: VoiceSession, planned: Plan) -> bool:
    """Return True for a plan that cannot be taken back: a decision, or the end of the session."""
    is_end = planned.status.finished_at is not None and session.status.finished_at is None
    return planned.is_decision or is_end


def _is_idle(planned: Plan) -> bool:
    """Return True for an end that depends on the time of the last speech, which no pod reports by itself."""
    return planned.status.end_reason == EndReason.IDLE


def _is_session_deleted(planned: Plan, failed: tuple[Failure, ...]) -> bool:
    requested = any(isinstance(action, DeleteSession) for action in planned.actions)
    return requested and all(failure.action != DeleteSession.__name__ for failure in failed)
