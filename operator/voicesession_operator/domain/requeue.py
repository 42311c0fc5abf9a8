"""Poll intervals while the agent or a human joins or leaves, and the need for a new list of the participants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from voicesession_common.api.constants import EPOCH_ATTRIBUTE
from voicesession_common.api.timestamps import CLOCK_SKEW_SECONDS
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.handover import is_own_agent_joined
from voicesession_operator.domain.humans import connecting_humans, is_call_unanswered, present_humans
from voicesession_operator.domain.observed import (
    AgentPodState,
    ListedRoom,
    Observed,
    Participant,
    ParticipantKind,
    Room,
)
from voicesession_operator.domain.pods import SessionPods

POLL_LATE_POD_SECONDS: Final = 2.0
"""Poll interval for a pod that does not answer (its first answer is news), or has not joined within startSeconds."""
POLL_BOUND_POD_SECONDS: Final = 1.0
"""Poll interval for a bound pod; only matters when its webhook was lost."""
POLL_ACTIVE_AGENT_SECONDS: Final = 0.1
"""Poll interval while the agent is ACTIVE but its pod does not report it: a webhook arrives milliseconds earlier."""
POLL_RESET_SECONDS: Final = 0.05
"""Poll interval during a reset: a prewarmed job joins within 0.2 to 0.3 s, and half of the interval is added."""
POLL_LONG_RESET_SECONDS: Final = 0.25
"""Poll interval of a reset that takes longer than LONG_RESET_SECONDS, so that milliseconds no longer matter."""
LONG_RESET_SECONDS: Final = 1.0

POLL_TRANSITION_SECONDS: Final = 0.1
"""Poll interval while a human joins or leaves. The agent sees a leave about 20 ms before LiveKit's list does."""
LEAVING_SECONDS: Final = 1.0
"""A human still listed this long after the agent saw the leave has come back."""
ARRIVING_SECONDS: Final = 3.0
"""A human not connected this long after joining has a problem; LiveKit reports joins in whole seconds."""
POLL_UNANSWERED_CALL_SECONDS: Final = 1.0
"""Poll interval while the callee of a SIP call has not answered: LiveKit sends no webhook for the answer."""

CACHED_SECONDS: Final = (45.0, 60.0)
"""Range of the longest time for which the participants count as unchanged without any sign of a change.

It bounds changes without any sign: an agent that LiveKit lost without a webhook and without its pod's knowledge, and
a human that took another's place while the webhooks and the pod's reports were lost. The times differ, because the
first looks of a new leader are made within seconds.
"""


def poll_interval(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float
) -> float | None:
    """Return the seconds until the next poll, or None if no change is expected."""
    intervals = []
    serving, successor = pods.serving, pods.successor
    if serving is not None and serving.ip and not is_own_agent_joined(status):
        intervals.append(_serving_pod_interval(session, status, observed, observed.state_of(serving), now))
    if successor is not None and successor.ip:
        is_young = now - successor.created_at < session.limits.start_seconds
        intervals.append(_starting_pod_interval(status, observed, observed.state_of(successor), is_young))
    if any(is_call_unanswered(human) for human in connecting_humans(observed.room)):
        intervals.append(POLL_UNANSWERED_CALL_SECONDS)
    if _participants_in_transition(observed, observed.state_of(serving), now):
        intervals.append(POLL_TRANSITION_SECONDS)
    return min(intervals, default=None)


def _participants_in_transition(observed: Observed, state: AgentPodState | None, now: float) -> bool:
    """Return True if LiveKit's list of participants is probably out of date."""
    room = observed.room
    if not isinstance(room, Room):
        return False
    arriving = any(now - p.joined_at < ARRIVING_SECONDS for p in connecting_humans(room) if not p.active)
    if arriving or state is None or abs(now - state.left_at) >= LEAVING_SECONDS:
        return arriving
    return _is_listed(state.left_identity, present_humans(room))


def _serving_pod_interval(
    session: VoiceSession,
    status: Status,
    observed: Observed,
    state: AgentPodState | None,
    now: float,
) -> float:
    if status.last_reset is not None and status.is_resetting:
        is_long = now - status.last_reset.started_at >= LONG_RESET_SECONDS
        return POLL_LONG_RESET_SECONDS if is_long else POLL_RESET_SECONDS
    is_young = status.absence is not None and now - status.absence.since < session.limits.start_seconds
    return _starting_pod_interval(status, observed, state, is_young)


def _starting_pod_interval(status: Status, observed: Observed, state: AgentPodState | None, is_young: bool) -> float:
    if state is None or not is_young:
        return POLL_LATE_POD_SECONDS
    return POLL_ACTIVE_AGENT_SECONDS if _is_agent_active(status, observed) else POLL_BOUND_POD_SECONDS


def _is_agent_active(status: Status, observed: Observed) -> bool:
    """Return True if the agent is ACTIVE; False during a recycle, because both agents have the same identity."""
    room = observed.room
    return (
        not status.next_pod
        and isinstance(room, Room)
        and any(p.active and p.identity == status.agent_identity for p in room.participants)
    )


class RoomReport(NamedTuple):
    """A pod's report about the room."""

    pod_uid: str
    participant_sid: str
    participant_epoch: str
    job_epoch: int
    humans: tuple[str, ...]
    left_identity: str
    left_at: float


def room_reports(states: Mapping[str, AgentPodState]) -> frozenset[RoomReport]:
    """Return the pods' reports about the room; `states` is by pod UID."""
    return frozenset(
        RoomReport(
            uid,
            state.participant_sid,
            state.participant_epoch,
            state.job_epoch,
            state.humans,
            state.left_identity,
            state.left_at,
        )
        for uid, state in states.items()
    )


@dataclass(frozen=True)
class RoomLook:
    """The latest list of a room's participants, and the triggers of a look that were known when it was requested."""

    room: Room
    at: float
    """Time of the request, by the operator's clock."""
    events: int
    """Number of webhooks about the room."""
    reports: frozenset[RoomReport]
    longest_seconds: float = CACHED_SECONDS[1]
    """Time for which it counts without any sign of a change."""

    @cached_property
    def counted(self) -> int:
        """The number of participants that LiveKit's list of rooms should have."""
        return counted_participants(self.room)

    def differs_from(self, listed: ListedRoom) -> bool:
        """Return True if a later list of rooms shows another room, or another number of participants."""
        return listed.sid != self.room.sid or listed.num_participants != self.counted


def is_look_due(
    look: RoomLook | None,
    listed: ListedRoom,
    listed_at: float,
    events: int,
    reports: frozenset[RoomReport] | None,
    now: float,
) -> bool:
    """Return True if the room's participants may differ from those of the latest look.

    `listed_at` is the time of the list of all rooms; `reports` are those of the pods, None if they are not known yet.
    """
    if look is None or look.room.sid != listed.sid or look.events != events:
        return True
    if abs(now - look.at) >= look.longest_seconds or _has_news(reports, look):
        return True
    if listed_at >= look.at and look.differs_from(listed):
        return True
    if any(not p.active or is_call_unanswered(p) for p in look.room.participants):
        return True
    return any(_contradicts(report, look.room, now) for report in reports or ())


def counted_participants(room: Room) -> int:
    """Return the number of participants that LiveKit counts in its list of rooms."""
    uncounted = (ParticipantKind.AGENT, ParticipantKind.EGRESS)
    return sum(p.kind not in uncounted and not p.agent and not p.recorder for p in room.participants)


def _has_news(reports: frozenset[RoomReport] | None, look: RoomLook) -> bool:
    """Return True if the reports differ from those at the look.

    A first look does not wait for reports, so that it knows none. It needs no second one if the reports agree with it.
    """
    if reports is None or reports == look.reports:
        return False
    return bool(look.reports) or not all(_agrees(report, look) for report in reports)


def _agrees(report: RoomReport, look: RoomLook) -> bool:
    """Return True if the look shows the same job and humans, and the last leave was before it by any clock."""
    present = {human.identity for human in present_humans(look.room)}
    is_listed = any(participant.sid == report.participant_sid for participant in look.room.participants)
    return is_listed and present == set(report.humans) and report.left_at < look.at - CLOCK_SKEW_SECONDS


def _contradicts(report: RoomReport, room: Room, now: float) -> bool:
    """Return True if LiveKit's list was behind the pod's report when it was read."""
    if report.participant_sid and not any(_is_job(p, report) for p in room.participants):
        return True
    has_just_left = bool(report.left_identity) and abs(now - report.left_at) < LEAVING_SECONDS
    return has_just_left and _is_listed(report.left_identity, present_humans(room))


def _is_job(participant: Participant, report: RoomReport) -> bool:
    epoch = participant.attributes.get(EPOCH_ATTRIBUTE)
    return participant.kind == ParticipantKind.AGENT and report.participant_epoch in ("", epoch)


def _is_listed(identity: str, participants: Iterable[Participant]) -> bool:
    return any(participant.identity == identity for participant in participants)
