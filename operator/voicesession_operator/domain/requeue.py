"""How soon to look again while the agent or a person is just coming or going; else an event or the poll will do."""

from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true
from voicesession_common.api.reasons import ConditionType
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.humans import humans, is_human
from voicesession_operator.domain.observed import AgentPodState, Observed, Room
from voicesession_operator.domain.pods import SessionPods

SILENT_YOUNG_SECONDS: Final = 0.25
"""Asking again a pod that has an address and does not answer yet: half of this is added to the time to Ready."""
SILENT_OLD_SECONDS: Final = 2.0
JOINING_SECONDS: Final = 1.0
"""Asking again a pod that is bound: only for the webhook that was lost."""
ENTERING_SECONDS: Final = 0.1
"""The agent is ACTIVE and its pod does not know yet: a webhook is faster than the pod's own job by milliseconds."""
RESETTING_SECONDS: Final = 0.05
"""A prepared job is in the room after 0.2 to 0.3 s; half of this is added to that."""
RESETTING_LONG_SECONDS: Final = 0.25
"""Once a reset takes longer than `RESETTING_BRISK_SECONDS`, it is no longer a matter of milliseconds."""
RESETTING_BRISK_SECONDS: Final = 1.0

PASSING_SECONDS: Final = 0.1
"""The agent sees a person leave some 20 ms before LiveKit's list of participants does."""
LEAVING_SECONDS: Final = 1.0
"""Who is still listed so long after the agent saw her leave has come back."""
ARRIVING_SECONDS: Final = 3.0
"""Who is not connected so long after she came is having trouble; LiveKit tells her time in whole seconds."""


def poll_interval(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float
) -> float | None:
    """Seconds until the next look; None where nothing is awaited."""
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    waits = []
    current, coming = pods.serving, pods.successor
    if current is not None and current.ip and not is_condition_true(status.conditions, ConditionType.AGENT_JOINED):
        waits.append(_for_the_serving(session, status, observed, observed.state_of(current), joined, now))
    if coming is not None and coming.ip:
        young = now - coming.created_at < session.limits.start_seconds
        waits.append(_for_a_start(status, observed, observed.state_of(coming), young))
    if _somebody_passes(observed, observed.state_of(current), now):
        waits.append(PASSING_SECONDS)
    return min(waits, default=None)


def _somebody_passes(observed: Observed, state: AgentPodState | None, now: float) -> bool:
    """Whether LiveKit's list lags behind what its participants know."""
    room = observed.room
    if not isinstance(room, Room):
        return False
    arriving = any(is_human(p) and not p.active and now - p.joined_at < ARRIVING_SECONDS for p in room.participants)
    if arriving or state is None or abs(now - state.left_at) >= LEAVING_SECONDS:
        return arriving
    return any(p.identity == state.left_identity for p in humans(room))


def _for_the_serving(
    session: VoiceSession,
    status: Status,
    observed: Observed,
    state: AgentPodState | None,
    joined: Condition | None,
    now: float,
) -> float:
    if status.last_reset is not None and status.is_resetting:
        brisk = now - status.last_reset.started_at < RESETTING_BRISK_SECONDS
        return RESETTING_SECONDS if brisk else RESETTING_LONG_SECONDS
    young = joined is not None and now - joined.since < session.limits.start_seconds
    return _for_a_start(status, observed, state, young)


def _for_a_start(status: Status, observed: Observed, state: AgentPodState | None, young: bool) -> float:
    if not young:
        return SILENT_OLD_SECONDS
    if state is None:
        return SILENT_YOUNG_SECONDS
    return ENTERING_SECONDS if _is_entering(status, observed) else JOINING_SECONDS


def _is_entering(status: Status, observed: Observed) -> bool:
    """Not for the pod that a recycle brings: until it is in, the one that serves bears the same name."""
    room = observed.room
    return (
        not status.next_pod
        and isinstance(room, Room)
        and any(p.active and p.identity == status.agent_identity for p in room.participants)
    )
