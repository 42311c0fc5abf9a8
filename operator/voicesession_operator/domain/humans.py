"""Humans in the room: their number, and time and reason of the last leave."""

from dataclasses import dataclass, replace
from typing import Final

from voicesession_common.api.constants import (
    HUMAN_ROLE,
    PUBLISHES_FOR_ATTRIBUTE,
    ROLE_ATTRIBUTE,
    SIP_CALL_STATUS_ATTRIBUTE,
)
from voicesession_common.api.reasons import Action, Cause
from voicesession_common.api.timestamps import CLOCK_SKEW_SECONDS
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.observed import (
    AgentPodState,
    LastSeen,
    LeaveHint,
    LeaveReason,
    Observed,
    Participant,
    ParticipantKind,
    Room,
    RoomUnknown,
)

HUMAN_KINDS: Final = frozenset({ParticipantKind.STANDARD, ParticipantKind.SIP, ParticipantKind.CONNECTOR})
SERVICE_KINDS: Final = frozenset(
    {ParticipantKind.AGENT, ParticipantKind.SIP, ParticipantKind.CONNECTOR, ParticipantKind.INGRESS}
)
"""Kinds whose programs belong to the issuer of their token. LiveKit's services always get `canUpdateOwnMetadata`."""
UNANSWERED_CALL: Final = frozenset({"dialing", "ringing"})
"""Values of LiveKit's attribute `sip.callStatus` before the callee answers; the participant is ACTIVE meanwhile."""


def is_human(participant: Participant) -> bool:
    """Return True for a human; the role in the token, set by its issuer, overrides all other rules.

    A client that may change its own attributes could have written them itself, so they do not count.
    """
    attributes = participant.attributes if _are_attributes_from_issuer(participant) else {}
    role = attributes.get(ROLE_ATTRIBUTE)
    if role:
        return role == HUMAN_ROLE
    is_service = participant.hidden or participant.recorder or participant.agent
    publishes_for_another = bool(attributes.get(PUBLISHES_FOR_ATTRIBUTE))
    return participant.kind in HUMAN_KINDS and not is_service and not publishes_for_another


def _are_attributes_from_issuer(participant: Participant) -> bool:
    """Return False if a client may have written the attributes."""
    return not participant.can_update_metadata or participant.kind in SERVICE_KINDS


def is_call_unanswered(participant: Participant) -> bool:
    """Return True for the callee of an outbound SIP call until they answer."""
    status = participant.attributes.get(SIP_CALL_STATUS_ATTRIBUTE)
    return participant.kind == ParticipantKind.SIP and status in UNANSWERED_CALL


def present_humans(room: Room | RoomUnknown | None) -> tuple[Participant, ...]:
    """Return the humans that are connected to the room; LiveKit also lists participants that are still connecting."""
    return tuple(p for p in _humans(room) if not _is_connecting(p))


def connecting_humans(room: Room | RoomUnknown | None) -> tuple[Participant, ...]:
    """Return the humans that are on their way into the room.

    Nobody stays on the way: LiveKit 1.13.5 removes a participant that is not ACTIVE after 60 s, and a SIP call rings
    for a limited time.
    """
    return tuple(p for p in _humans(room) if _is_connecting(p))


def _humans(room: Room | RoomUnknown | None) -> tuple[Participant, ...]:
    return tuple(p for p in room.participants if is_human(p)) if isinstance(room, Room) else ()


def _is_connecting(participant: Participant) -> bool:
    return not participant.active or is_call_unanswered(participant)


DELIBERATE_REASONS: Final = frozenset({"CLIENT_INITIATED", "USER_REJECTED", "PARTICIPANT_REMOVED"})
"""LiveKit disconnect reasons of humans that are not expected back; all others may be a lost connection."""
UNKNOWN_REASONS: Final = frozenset({"", "UNKNOWN", "UNKNOWN_REASON"})
REPORT_SECONDS: Final = 15.0
"""Maximum age of an agent's report that explains an empty room, if this process has seen no human before.

LiveKit takes 20 s to notice a dead client, so a report from before a human's last visit is always older.
"""


def observe_humans(
    session: VoiceSession, status: Status, observed: Observed, state: AgentPodState | None, now: float
) -> Status:
    """Return the status with the number of humans, the time of the first join and the last leave."""
    if isinstance(observed.room, RoomUnknown):
        return status
    count = len(present_humans(observed.room))
    if count > 0:
        first = now if status.first_human_at is None else status.first_human_at
        return replace(status, humans=count, first_human_at=first, last_human_left_at=None, last_human_left_reason="")
    missed = _missed_visit(session, status, state, now)
    if missed is not None and status.first_human_at is None:
        status = replace(status, first_human_at=min(missed, now))
    if missed is None and not _was_visited(status):
        return replace(status, humans=0)
    return _set_last_left(session, replace(status, humans=0), observed, state, now)


def _was_visited(status: Status) -> bool:
    """Return True if a human was observed in the current conversation."""
    if status.last_reset is None:
        return status.first_human_at is not None
    return status.humans > 0 or status.last_human_left_at is not None


def _missed_visit(session: VoiceSession, status: Status, state: AgentPodState | None, now: float) -> float | None:
    """Return the end of a visit that only the agent has seen, without a webhook or a poll.

    It matters only if the agent goes on after the visit, hence not for the action Teardown.
    """
    started_at = status.ready_at if status.last_reset is None else status.last_reset.started_at
    if (
        session.on_last_human_left.action == Action.TEARDOWN
        or state is None
        or started_at is None
        or not state.left_identity
    ):
        return None
    if status.is_resetting or state.job_epoch < status.desired_epoch:
        return None
    return state.left_at if started_at < state.left_at <= now + CLOCK_SKEW_SECONDS else None


@dataclass(frozen=True)
class _Leave:
    """The last human's leave: its reason, and its time as Unix seconds of the operator's clock."""

    reason: LeaveReason
    at: float


def _set_last_left(
    session: VoiceSession, status: Status, observed: Observed, state: AgentPodState | None, now: float
) -> Status:
    """Return the status with time and reason of the last leave; a report that comes later corrects both."""
    noticed = now if status.last_human_left_at is None else status.last_human_left_at
    known = status.last_human_left_reason or LeaveReason.UNKNOWN
    seen, leave = _seen_in_conversation(status, observed), None
    if _is_same_room(session, seen, observed):
        leave = _webhook_leave(seen, observed.leave_hints, noticed) or _agent_leave(status, seen, state, noticed)
    if leave is None:
        return replace(status, last_human_left_at=noticed, last_human_left_reason=str(known))
    return replace(status, last_human_left_at=leave.at, last_human_left_reason=str(leave.reason))


def _seen_in_conversation(status: Status, observed: Observed) -> LastSeen | None:
    """Return the latest look with humans, unless it is older than the session or than the reset after their leave."""
    seen, start, reset = observed.last_seen, status.started_at or 0.0, status.last_reset
    if reset is not None and reset.cause == Cause.LAST_HUMAN_LEFT:
        start = reset.started_at
    return None if seen is None or seen.at < start else seen


def _is_same_room(session: VoiceSession, seen: LastSeen | None, observed: Observed) -> bool:
    """Return False if the humans were lost together with their room, which no report of a leave explains."""
    if not isinstance(observed.room, Room):
        return False
    before = session.status.room_sid if seen is None else seen.room_sid
    return before in ("", observed.room.sid)


def _webhook_leave(seen: LastSeen | None, hints: tuple[LeaveHint, ...], noticed: float) -> _Leave | None:
    """Return the latest reported leave, once the leave of every human seen last is reported.

    A human that has come and gone since that look, or has given up connecting, can be the last one too.
    """
    # Within one second, the order of arrival decides.
    latest = max(reversed(hints), key=lambda hint: hint.reported_at, default=None)
    if seen is None or latest is None or latest.reason == LeaveReason.UNKNOWN:
        return None
    humans = {human.sid for human in seen.humans}
    if not humans <= {hint.sid for hint in hints}:
        return None
    is_later = latest.sid not in humans
    return _Leave(latest.reason, max(noticed, latest.at) if is_later else min(noticed, max(seen.at, latest.at)))


def _agent_leave(status: Status, seen: LastSeen | None, state: AgentPodState | None, noticed: float) -> _Leave | None:
    """Return the last leave that the agent has seen; its clock can be wrong by CLOCK_SKEW_SECONDS."""
    reason = LeaveReason.UNKNOWN if state is None else leave_reason(state.left_reason)
    if state is None or not state.left_identity or reason == LeaveReason.UNKNOWN:
        return None
    if seen is not None and state.left_identity not in {human.identity for human in seen.humans}:
        return None
    there = max(status.first_human_at or 0.0, 0.0 if seen is None else seen.at)
    earliest = max(there - CLOCK_SKEW_SECONDS, noticed - REPORT_SECONDS if seen is None else 0.0)
    if not earliest <= state.left_at <= noticed + CLOCK_SKEW_SECONDS:
        return None
    return _Leave(reason, min(noticed, max(there, state.left_at + CLOCK_SKEW_SECONDS)))


def leave_reason(disconnect_reason: str) -> LeaveReason:
    """Convert the name of a LiveKit DisconnectReason (`CLIENT_INITIATED`, …) to a leave reason."""
    if disconnect_reason in UNKNOWN_REASONS:
        return LeaveReason.UNKNOWN
    return LeaveReason.LEFT if disconnect_reason in DELIBERATE_REASONS else LeaveReason.CONNECTION_LOST
