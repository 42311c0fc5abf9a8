"""Metrics of sessions: gauges from the cache, counters of status changes, and timings by session."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_common import JsonObject
from voicesession_common.api.conditions import find_condition
from voicesession_common.api.reasons import Cause, ConditionType, EndReason, Reason, ResetOutcome, SessionPhase
from voicesession_common.api.timestamps import TIMESTAMP_RESOLUTION_SECONDS
from voicesession_common.api.voicesession import LastReset, Status, VoiceSession
from voicesession_common.bounds import LruDict

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, ResourceKind
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.observed import Observed, Timings
from voicesession_operator.metric_labels import LastHumanOutcome, PoolPodState, ReplacementReason, StartStage

CAPACITY: Final = 10_000
"""More sessions than one operator is meant for; the least recently changed one is dropped first."""


class SessionGauges:
    """Gauges of the cache and the work queues.

    Only the leader's cache has objects, so the sum over all replicas is correct.
    """

    def __init__(self, cache: Cache, queues: Iterable[WorkQueue[Any]]) -> None:
        self._cache = cache
        self._queues = tuple(queues)

    def update_gauges(self) -> None:
        """Update all gauges before a scrape."""
        statuses = [raw.get("status") or {} for raw in self._cache.all(ResourceKind.SESSION)]
        phases = Counter(status.get("phase") for status in statuses)
        for phase in SessionPhase:
            metrics.SESSIONS.labels(phase.value).set(phases[phase.value])
        metrics.HUMANS.set(sum(status.get("humans") or 0 for status in statuses))
        degraded = Counter(condition for status in statuses for condition in _degraded_conditions(status))
        for condition in metrics.DEGRADING_CONDITIONS:
            metrics.SESSIONS_DEGRADED.labels(condition.value).set(degraded[condition.value])
        agents = Counter(_is_ready(raw) for raw in self._cache.all(ResourceKind.AGENT))
        for ready in (True, False):
            metrics.VOICE_AGENTS.labels(str(ready).lower()).set(agents[ready])
        self._update_pools()
        for queue in self._queues:
            metrics.QUEUE_OLDEST_SECONDS.labels(queue.name).set(queue.oldest())

    def _update_pools(self) -> None:
        statuses = [raw.get("status") or {} for raw in self._cache.all(ResourceKind.POOL)]
        for state in PoolPodState:
            metrics.POOL_PODS.labels(state.value).set(sum(status.get(state.value) or 0 for status in statuses))
        metrics.POOLS_NOT_READY.set(sum(_is_false(status, ConditionType.READY) for status in statuses))
        metrics.POOLS_NOT_PROGRESSING.set(sum(_is_false(status, ConditionType.PROGRESSING) for status in statuses))


def _is_false(status: JsonObject, kind: ConditionType) -> bool:
    return any(c["type"] == kind and c["status"] == "False" for c in status.get("conditions") or ())


def _degraded_conditions(status: JsonObject) -> set[str]:
    """Return the types of conditions that are not True; none before the session is Ready and after it finishes."""
    if not status.get("readyAt") or status.get("finishedAt"):
        return set()
    return {c["type"] for c in status.get("conditions") or () if c["status"] != "True"}


def _is_ready(agent: JsonObject) -> bool:
    conditions = (agent.get("status") or {}).get("conditions") or ()
    return any(c["type"] == ConditionType.READY and c["status"] == "True" for c in conditions)


def count_changes(session: VoiceSession, new: Status) -> None:
    """Count the changes of a stored status; `session` still has the previous one."""
    old = session.status
    if old.ready_at is None and new.ready_at is not None:
        metrics.READY_SECONDS.observe(max(new.ready_at - session.created_at, 0.0))
    if old.finished_at is None and new.finished_at is not None:
        metrics.SESSIONS_FINISHED.labels(new.end_reason).inc()
    if new.replacements > old.replacements:
        metrics.REPLACEMENTS.labels(replacement_reason(old, new).value).inc(new.replacements - old.replacements)
    if new.last_reset is not None and new.last_reset != old.last_reset:
        _count_reset(new.last_reset)


def replacement_reason(old: Status, new: Status) -> ReplacementReason:
    """Return the reason for the replacement between the two statuses."""
    if _is_escalated(new) and not _is_escalated(old):
        return ReplacementReason.RESET_ESCALATED
    if old.next_pod:
        return ReplacementReason.RECYCLE_FAILED
    if new.agent_pod:
        return ReplacementReason.POD_LOST
    # The status of an abandoned pod names no pod until the replacement is created.
    joined = find_condition(new.conditions, ConditionType.AGENT_JOINED)
    absent = joined is not None and joined.reason == Reason.AGENT_ABSENT
    return ReplacementReason.AGENT_ABSENT if absent else ReplacementReason.AGENT_AWAY


def _is_escalated(status: Status) -> bool:
    return status.last_reset is not None and status.last_reset.outcome == ResetOutcome.ESCALATED


def _count_reset(reset: LastReset) -> None:
    """Count a reset at its completion, and an escalated reset at its escalation, when its outcome is final."""
    escalated = reset.outcome == ResetOutcome.ESCALATED
    if escalated != (reset.completed_at is not None):
        metrics.RESETS.labels(str(reset.cause), str(reset.outcome)).inc()
    if reset.completed_at is not None and not escalated:
        metrics.RESET_SECONDS.observe(max(reset.completed_at - reset.started_at, 0.0))


def start_stages(
    created_at: float, started_at: float, pod_created_at: float | None, timings: Timings, ready_at: float
) -> dict[StartStage, float]:
    """Return the seconds by stage, up to the first unknown time. All times are Unix seconds.

    The agent's times come from its own clock. If that clock is behind, a stage is 0 and the next one is longer. No
    stage ends after Ready, so that a wrong clock cannot spoil the sum of all sessions.
    """
    ends = {
        StartStage.POD_CREATED: pod_created_at,
        StartStage.PROCESS_STARTED: timings.process_started,
        StartStage.MODELS_LOADED: timings.prepared,
        StartStage.BOUND: timings.bound,
        StartStage.JOINED: timings.joined,
        StartStage.SEEN: ready_at,
    }
    stages = {StartStage.FOUND: max(started_at - created_at - TIMESTAMP_RESOLUTION_SECONDS, 0.0)}
    last = started_at
    for stage, at in ends.items():
        if at is None:
            break
        end = min(at, max(ready_at, last))
        stages[stage] = max(end - last, 0.0)
        last = max(end, last)
    return stages


@dataclass
class _Times:
    """Unix seconds of events; None before they happen."""

    pod_created_at: float | None = None
    last_human_left_at: float | None = None
    ended_at: float | None = None


class SessionTimings:
    """Keeps the times of events by session UID, and derives metrics and spans from them."""

    def __init__(self, traces: SessionTraces = OFF, capacity: int = CAPACITY) -> None:
        self._traces = traces
        self._times: LruDict[str, _Times] = LruDict(capacity)

    def __contains__(self, session_uid: str) -> bool:
        return session_uid in self._times

    def on_pod_created(self, session_uid: str, at: float) -> None:
        """Record the creation of a pod; of several pods before Ready the last one counts."""
        self._of(session_uid).pod_created_at = at

    def on_status_stored(self, session: VoiceSession, new: Status, observed: Observed) -> None:
        """Record a stored status; `session` still has the previous one."""
        old = session.status
        if old.ready_at is None and new.ready_at is not None:
            self._started(session, new, observed)
        if new.last_reset is not None and new.last_reset != old.last_reset:
            self._reset(session.uid, old, new.last_reset, started=new.resets > old.resets)
            self._traces.reset(session, new.last_reset)
        if old.finished_at is None and new.finished_at is not None:
            times = self._of(session.uid)
            times.ended_at = new.finished_at
            last_human_left = new.end_reason == EndReason.LAST_HUMAN_LEFT
            times.last_human_left_at = new.last_human_left_at if last_human_left else None
            self._traces.ended(session, new)

    def on_observed(self, session: VoiceSession, observed: Observed, now: float) -> None:
        """Record the teardown once the room and the pods of a finished session are gone."""
        times = self._times.get(session.uid)
        if times is None or times.ended_at is None or observed.room is not None or observed.pods:
            return
        del self._times[session.uid]
        metrics.TEARDOWN_SECONDS.observe(max(now - times.ended_at, 0.0))
        _observe_last_human(LastHumanOutcome.TORN_DOWN, times.last_human_left_at, now)
        self._traces.torn_down(session, times.ended_at, now)

    def _started(self, session: VoiceSession, new: Status, observed: Observed) -> None:
        pod = next((pod for pod in observed.pods if pod.name == new.agent_pod), None)
        state = observed.state_of(pod)
        created_at = self._of(session.uid).pod_created_at
        if new.started_at is None or new.ready_at is None or pod is None or state is None:
            return
        stages = start_stages(session.created_at, new.started_at, created_at, state.timings, new.ready_at)
        for stage, seconds in stages.items():
            metrics.START_STAGE_SECONDS.labels(stage.value).observe(seconds)
        # Whole seconds suffice for a trace if a previous leader created the pod.
        created_at = pod.created_at if created_at is None else created_at
        stages = start_stages(session.created_at, new.started_at, created_at, state.timings, new.ready_at)
        self._traces.started(session, new.started_at, stages)

    def _reset(self, uid: str, old: Status, reset: LastReset, *, started: bool) -> None:
        times = self._of(uid)
        if started:
            # Without a grace, the leaving is observed in the same reconcile that decides the reset.
            left_at = reset.started_at if old.last_human_left_at is None else old.last_human_left_at
            times.last_human_left_at = left_at if reset.cause == Cause.LAST_HUMAN_LEFT else None
        if reset.completed_at is not None:
            _observe_last_human(LastHumanOutcome.RESET, times.last_human_left_at, reset.completed_at)
            times.last_human_left_at = None

    def _of(self, uid: str) -> _Times:
        times = self._times.get(uid) or _Times()
        self._times[uid] = times
        return times


def _observe_last_human(outcome: LastHumanOutcome, since: float | None, now: float) -> None:
    if since is not None:
        metrics.LAST_HUMAN_SECONDS.labels(outcome.value).observe(max(now - since, 0.0))
