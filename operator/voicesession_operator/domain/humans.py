"""Humans in the room: their number, and time and reason of the last leave."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.constants import (
    HUMAN_ROLE,
    PUBLISHES_FOR_ATTRIBUTE,
    ROLE_ATTRIBUTE,
    SIP_CALL_STATUS_ATTRIBUTE,
)
from voicesession_common.api.reasons import Action
from voicesession_common.api.timestamps import CLOCK_SKEW_SECONDS, TIMESTAMP_RESOLUTION_SECONDS
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.observed import (
    AgentPodState,
    LeaveHint,
    LeaveReason,
    Observed,
    Participant,
    ParticipantKind,
    Room,
    RoomUnknown,
)

HUMAN_KINDS: Final = frozenset({ParticipantKind.STANDARD, ParticipantKind.SIP, ParticipantKind.CONNECTOR})
UNANSWERED_CALL: Final = frozenset({"dialing", "ringing"})
"""Values of LiveKit's attribute `sip.callStatus` before the callee answers; the participant is ACTIVE meanwhile."""


def is_human(participant: Participant) -> bool:
    """Return True for a human; the role in the token, set by its issuer, overrides all other rules.

    A participant that may change its own attributes could have written them itself, so they do not count.
    """
    attributes = participant.attributes if _are_attributes_from_issuer(participant) else {}
    role = attributes.get(ROLE_ATTRIBUTE)
    if role:
        return role == HUMAN_ROLE
    is_service = participant.hidden or participant.recorder or participant.agent
    publishes_for_another = bool(attributes.get(PUBLISHES_FOR_ATTRIBUTE))
    return participant.kind in HUMAN_KINDS and not is_service and not publishes_for_another


def _are_attributes_from_issuer(participant: Participant) -> bool:
    """Return False if a client may have written the attributes; agents belong to the issuer of their token."""
    return not participant.can_update_metadata or participant.kind == ParticipantKind.AGENT


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
HINT_SECONDS: Final = 15.0
"""Maximum age of a hint that explains an empty room.

LiveKit takes 20 s to notice a dead client, so a hint from before a human's last visit is always older.
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
    return _set_last_left(replace(status, humans=0), observed, state, now)


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


def _set_last_left(status: Status, observed: Observed, state: AgentPodState | None, now: float) -> Status:
    left_at = status.last_human_left_at
    if left_at is not None and status.last_human_left_reason != LeaveReason.UNKNOWN:
        return status
    noticed = now if left_at is None else left_at
    hint = _best_hint(status, (observed.leave_hint, _hint_of_pod(state)), noticed)
    if hint is None:
        return replace(status, last_human_left_at=noticed, last_human_left_reason=str(LeaveReason.UNKNOWN))
    # Webhook times are rounded down; without the correction the grace period would be too short.
    at = min(noticed, hint.at + TIMESTAMP_RESOLUTION_SECONDS)
    return replace(status, last_human_left_at=at, last_human_left_reason=str(hint.reason))


def _best_hint(status: Status, hints: tuple[LeaveHint | None, ...], noticed: float) -> LeaveHint | None:
    """Return the latest hint that fits the time when the room was first seen empty."""
    earliest = max((status.first_human_at or 0.0) - CLOCK_SKEW_SECONDS, noticed - HINT_SECONDS)
    known = [hint for hint in hints if hint is not None and hint.reason != LeaveReason.UNKNOWN]
    fitting = [hint for hint in known if earliest <= hint.at <= noticed + CLOCK_SKEW_SECONDS]
    return max(fitting, key=lambda hint: hint.at, default=None)


def _hint_of_pod(state: AgentPodState | None) -> LeaveHint | None:
    if state is None or not state.left_identity:
        return None
    return LeaveHint(state.left_identity, leave_reason(state.left_reason), state.left_at)


def leave_reason(disconnect_reason: str) -> LeaveReason:
    """Convert the name of a LiveKit DisconnectReason (`CLIENT_INITIATED`, …) to a leave reason."""
    if disconnect_reason in UNKNOWN_REASONS:
        return LeaveReason.UNKNOWN
    return LeaveReason.LEFT if disconnect_reason in DELIBERATE_REASONS else LeaveReason.CONNECTION_LOST
