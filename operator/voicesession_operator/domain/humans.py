"""Who in a room is a human."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.constants import PUBLISHES_FOR_ATTRIBUTE, ROLE_ATTRIBUTE
from voicesession_common.api.reasons import Action
from voicesession_common.api.timestamps import TIMESTAMP_RESOLUTION_SECONDS
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
HUMAN_ROLE: Final = "human"


def is_human(participant: Participant) -> bool:
    """Whether this participant is a person; the role in its token, which only a minter writes, outranks every guess."""
    role = participant.attributes.get(ROLE_ATTRIBUTE)
    if role:
        return role == HUMAN_ROLE
    serves = participant.hidden or participant.recorder or participant.agent
    speaks_for_another = bool(participant.attributes.get(PUBLISHES_FOR_ATTRIBUTE))
    return participant.kind in HUMAN_KINDS and not serves and not speaks_for_another


def humans(room: Room) -> tuple[Participant, ...]:
    """The people who are in the room: ACTIVE ones only, because LiveKit also lists those who are still connecting."""
    return tuple(p for p in room.participants if p.active and is_human(p))


DELIBERATE: Final = frozenset({"CLIENT_INITIATED", "USER_REJECTED", "PARTICIPANT_REMOVED"})
"""LiveKit disconnect reasons after which nobody is expected back; all others may be a lost connection."""
UNTOLD: Final = frozenset({"", "UNKNOWN", "UNKNOWN_REASON"})
FRESH_SECONDS: Final = 15.0
"""How old a hint may be to explain a room that is empty now.

LiveKit takes 20 s to notice a dead client, so a hint from before somebody's last stay is always older than this.
"""
SKEW_SECONDS: Final = 5.0
"""How far the clocks of LiveKit, the agent pod and the operator may be apart."""


def observe_humans(
    session: VoiceSession, status: Status, observed: Observed, state: AgentPodState | None, now: float
) -> Status:
    """Count the people; remember when the first came and when and how the last went."""
    if isinstance(observed.room, RoomUnknown):
        return status
    count = len(humans(observed.room)) if isinstance(observed.room, Room) else 0
    if count > 0:
        first = now if status.first_human_at is None else status.first_human_at
        return replace(status, humans=count, first_human_at=first, last_human_left_at=None, last_human_left_reason="")
    missed = _missed_visit(session, status, state, now)
    if missed is not None and status.first_human_at is None:
        status = replace(status, first_human_at=min(missed, now))
    if missed is None and not _was_visited(status):
        return replace(status, humans=0)
    return _note_last_left(replace(status, humans=0), observed, state, now)


def _was_visited(status: Status) -> bool:
    """Whether anybody has been seen since the agent began anew."""
    if status.last_reset is None:
        return status.first_human_at is not None
    return status.humans > 0 or status.last_human_left_at is not None


def _missed_visit(session: VoiceSession, status: Status, state: AgentPodState | None, now: float) -> float | None:
    """When somebody left whom no webhook told of and no poll has seen: only an agent that goes on must know of her."""
    begun = status.ready_at if status.last_reset is None else status.last_reset.started_at
    if (
        session.on_last_human_left.action == Action.TEARDOWN
        or state is None
        or begun is None
        or not state.left_identity
    ):
        return None
    if status.is_resetting or state.job_epoch < status.desired_epoch:
        return None
    return state.left_at if begun < state.left_at <= now + SKEW_SECONDS else None


def _note_last_left(status: Status, observed: Observed, state: AgentPodState | None, now: float) -> Status:
    left_at = status.last_human_left_at
    if left_at is not None and status.last_human_left_reason != LeaveReason.UNKNOWN:
        return status
    noticed = now if left_at is None else left_at
    hint = _best_hint(status, (observed.leave_hint, _from_pod(state)), noticed)
    if hint is None:
        return replace(status, last_human_left_at=noticed, last_human_left_reason=str(LeaveReason.UNKNOWN))
    at = min(noticed, hint.at + TIMESTAMP_RESOLUTION_SECONDS)
    return replace(status, last_human_left_at=at, last_human_left_reason=str(hint.reason))


def _best_hint(status: Status, told: tuple[LeaveHint | None, ...], noticed: float) -> LeaveHint | None:
    """The latest departure that somebody told of and that fits the moment the room was first seen empty."""
    earliest = max((status.first_human_at or 0.0) - SKEW_SECONDS, noticed - FRESH_SECONDS)
    hints = [hint for hint in told if hint is not None and hint.reason != LeaveReason.UNKNOWN]
    fitting = [hint for hint in hints if earliest <= hint.at <= noticed + SKEW_SECONDS]
    return max(fitting, key=lambda hint: hint.at, default=None)


def _from_pod(state: AgentPodState | None) -> LeaveHint | None:
    if state is None or not state.left_identity:
        return None
    return LeaveHint(state.left_identity, leave_reason(state.left_reason), state.left_at)


def leave_reason(disconnect_reason: str) -> LeaveReason:
    """A LiveKit DisconnectReason name (`CLIENT_INITIATED`, …) as how the person went."""
    if disconnect_reason in UNTOLD:
        return LeaveReason.UNKNOWN
    return LeaveReason.LEFT if disconnect_reason in DELIBERATE else LeaveReason.CONNECTION_LOST
