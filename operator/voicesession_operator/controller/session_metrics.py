"""What a change of a session's status means for the metrics; counted once it is stored."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_common.api.conditions import find_condition
from voicesession_common.api.reasons import Cause, ConditionType, EndReason, Phase, Reason, ResetOutcome
from voicesession_common.api.timestamps import TIMESTAMP_RESOLUTION_SECONDS
from voicesession_common.api.voicesession import LastReset, Status, VoiceSession

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Kind
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.observed import Observed, Timings
from voicesession_operator.metric_labels import ReplacementReason, StartStage, Until

Object = dict[str, Any]


class Census:
    """Only the leader's cache holds anything, so that the sum over all replicas is right."""

    def __init__(self, cache: Cache, queues: Iterable[WorkQueue[Any]]) -> None:
        self._cache = cache
        self._queues = tuple(queues)

    def take(self) -> None:
        """Bring the gauges up to date."""
        statuses = [raw.get("status") or {} for raw in self._cache.all(Kind.SESSION)]
        phases = Counter(status.get("phase") for status in statuses)
        for phase in Phase:
            metrics.SESSIONS.labels(phase.value).set(phases[phase.value])
        metrics.HUMANS.set(sum(status.get("humans") or 0 for status in statuses))
        troubles = Counter(problem for status in statuses for problem in _troubles(status))
        for condition in metrics.TROUBLES:
            metrics.SESSIONS_DEGRADED.labels(condition.value).set(troubles[condition.value])
        usable = Counter(_is_ready(raw) for raw in self._cache.all(Kind.AGENT))
        for ready in (True, False):
            metrics.VOICE_AGENTS.labels(str(ready).lower()).set(usable[ready])
        for queue in self._queues:
            metrics.QUEUE_OLDEST_SECONDS.labels(queue.name).set(queue.oldest())


def _troubles(status: Object) -> set[str]:
    """A session that never was Ready is only starting, and one that is finished has no agent to be in trouble."""
    if not status.get("readyAt") or status.get("finishedAt"):
        return set()
    return {c["type"] for c in status.get("conditions") or () if c["status"] != "True"}


def _is_ready(agent: Object) -> bool:
    conditions = (agent.get("status") or {}).get("conditions") or ()
    return any(c["type"] == ConditionType.READY and c["status"] == "True" for c in conditions)


def count_changes(session: VoiceSession, new: Status) -> None:
    """`session` still has the status from before the write."""
    old = session.status
    if old.ready_at is None and new.ready_at is not None:
        metrics.READY_SECONDS.observe(max(new.ready_at - session.created_at, 0.0))
    if old.finished_at is None and new.finished_at is not None:
        metrics.SESSIONS_FINISHED.labels(new.end_reason).inc()
    if new.replacements > old.replacements:
        metrics.REPLACEMENTS.labels(why_replaced(old, new).value).inc(new.replacements - old.replacements)
    if new.last_reset is not None and new.last_reset != old.last_reset:
        _count_reset(new.last_reset)


def why_replaced(old: Status, new: Status) -> ReplacementReason:
    """Why a pod was counted as replaced between these two."""
    if _is_escalated(new) and not _is_escalated(old):
        return ReplacementReason.RESET_ESCALATED
    if old.next_pod:
        return ReplacementReason.RECYCLE_FAILED
    if new.agent_pod:
        return ReplacementReason.POD_LOST
    # A pod that is given up leaves the status without one, until its successor is made.
    joined = find_condition(new.conditions, ConditionType.AGENT_JOINED)
    absent = joined is not None and joined.reason == Reason.AGENT_ABSENT
    return ReplacementReason.AGENT_ABSENT if absent else ReplacementReason.AGENT_AWAY


def _is_escalated(status: Status) -> bool:
    return status.last_reset is not None and status.last_reset.outcome == ResetOutcome.ESCALATED


def _count_reset(reset: LastReset) -> None:
    """One that is escalated counts when it is; its outcome cannot change any more."""
    escalated = reset.outcome == ResetOutcome.ESCALATED
    if escalated != (reset.completed_at is not None):
        metrics.RESETS.labels(str(reset.cause), str(reset.outcome)).inc()
    if reset.completed_at is not None and not escalated:
        metrics.RESET_SECONDS.observe(max(reset.completed_at - reset.started_at, 0.0))


def start_stages(
    created_at: float, started_at: float, pod_made_at: float | None, timings: Timings, ready_at: float
) -> dict[StartStage, float]:
    """Seconds by stage; those after a moment that nobody told of are left out. All moments are Unix seconds.

    The agent's moments are of its own clock: where it is slow, a stage is 0 and the next one is longer.
    """
    moments = {
        StartStage.POD_CREATED: pod_made_at,
        StartStage.PROCESS_STARTED: timings.process_started,
        StartStage.MODELS_LOADED: timings.prepared,
        StartStage.BOUND: timings.bound,
        StartStage.JOINED: timings.joined,
        StartStage.SEEN: ready_at,
    }
    found = {StartStage.FOUND: max(started_at - created_at - TIMESTAMP_RESOLUTION_SECONDS, 0.0)}
    last = started_at
    for stage, at in moments.items():
        if at is None:
            break
        found[stage] = max(at - last, 0.0)
        last = max(at, last)
    return found


CAPACITY: Final = 10_000
"""More sessions than one operator is meant for; the one that nothing happened to for longest goes first."""


@dataclass
class _Moments:
    """Unix seconds, None while they have not happened."""

    pod_made_at: float | None = None
    last_human_left_at: float | None = None
    ended_at: float | None = None


class Chronicle:
    """Keeps moments by session UID, and makes metrics and spans of them."""

    def __init__(self, traces: SessionTraces = OFF, capacity: int = CAPACITY) -> None:
        self._traces = traces
        self._capacity = capacity
        self._moments: OrderedDict[str, _Moments] = OrderedDict()

    def pod_made(self, session_uid: str, at: float) -> None:
        """Of several pods before Ready the last one counts."""
        self._of(session_uid).pod_made_at = at

    def stored(self, session: VoiceSession, new: Status, observed: Observed) -> None:
        """A new status was written; `session` still has the one before."""
        old = session.status
        if old.ready_at is None and new.ready_at is not None:
            self._started(session, new, observed)
        if new.last_reset is not None and new.last_reset != old.last_reset:
            self._reset(session.uid, old, new.last_reset, begun=new.resets > old.resets)
            self._traces.reset(session, new.last_reset)
        if old.finished_at is None and new.finished_at is not None:
            moments = self._of(session.uid)
            moments.ended_at = new.finished_at
            was_left = new.end_reason == EndReason.LAST_HUMAN_LEFT
            moments.last_human_left_at = new.last_human_left_at if was_left else None
            self._traces.ended(session, new)

    def looked(self, session: VoiceSession, observed: Observed, now: float) -> None:
        """The session's world was observed: is a finished one gone by now?"""
        moments = self._moments.get(session.uid)
        if moments is None or moments.ended_at is None or observed.room is not None or observed.pods:
            return
        del self._moments[session.uid]
        metrics.TEARDOWN_SECONDS.observe(max(now - moments.ended_at, 0.0))
        _observe(Until.TORN_DOWN, moments.last_human_left_at, now)
        self._traces.torn_down(session, moments.ended_at, now)

    def _started(self, session: VoiceSession, new: Status, observed: Observed) -> None:
        pod = next((pod for pod in observed.pods if pod.name == new.agent_pod), None)
        state = observed.state_of(pod)
        made_at = self._of(session.uid).pod_made_at
        if new.started_at is None or new.ready_at is None or pod is None or state is None:
            return
        stages = start_stages(session.created_at, new.started_at, made_at, state.timings, new.ready_at)
        for stage, seconds in stages.items():
            metrics.START_STAGE_SECONDS.labels(stage.value).observe(seconds)
        # A trace does with whole seconds where another leader made the pod.
        made_at = pod.created_at if made_at is None else made_at
        stages = start_stages(session.created_at, new.started_at, made_at, state.timings, new.ready_at)
        self._traces.started(session, new.started_at, stages)

    def _reset(self, uid: str, old: Status, reset: LastReset, *, begun: bool) -> None:
        moments = self._of(uid)
        if begun:
            # With no grace she is seen to be gone at the very moment that the reset is decided.
            left_at = reset.started_at if old.last_human_left_at is None else old.last_human_left_at
            moments.last_human_left_at = left_at if reset.cause == Cause.LAST_HUMAN_LEFT else None
        if reset.completed_at is not None:
            _observe(Until.RESET, moments.last_human_left_at, reset.completed_at)
            moments.last_human_left_at = None

    def _of(self, uid: str) -> _Moments:
        moments = self._moments.setdefault(uid, _Moments())
        self._moments.move_to_end(uid)
        while len(self._moments) > self._capacity:
            self._moments.popitem(last=False)
        return moments


def _observe(until: Until, since: float | None, now: float) -> None:
    if since is not None:
        metrics.LAST_HUMAN_SECONDS.labels(until.value).observe(max(now - since, 0.0))
