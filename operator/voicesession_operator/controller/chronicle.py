"""What is remembered of sessions only to measure them: moments that no status keeps.

It is lost with the leader; what spans two leaders is not measured.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from voicesession_operator.api.reasons import Cause, EndReason
from voicesession_operator.api.session import LastReset, Status, VoiceSession
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.start_stages import start_stages
from voicesession_operator.domain.observed import Observed
from voicesession_operator.telemetry import metrics
from voicesession_operator.telemetry.labels import Until

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
