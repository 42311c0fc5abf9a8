"""The limits that hold whatever LiveKit says: the start, the whole duration, and the user's own `end: true`."""

from math import inf

from voicesession_operator.api.conditions import find
from voicesession_operator.api.reasons import ConditionType, EndReason
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.verdict import Deadline, Verdict


def requested(session: VoiceSession) -> tuple[Deadline, ...]:
    """`spec.end` ends the session now."""
    return (Deadline(-inf, Verdict(EndReason.REQUESTED, "spec.end was set")),) if session.end else ()


def max_duration(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """Counts from Ready, or from the first reconcile of a session that never got there."""
    seconds = session.limits.max_duration_seconds
    since = status.ready_at if status.ready_at is not None else status.started_at
    if since is None:
        return ()
    return (Deadline(since + seconds, Verdict(EndReason.MAX_DURATION, f"maxDurationSeconds ({seconds:g}) is over")),)


def start(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """The agent must be in the room within startSeconds of the session's creation."""
    if status.ready_at is not None:
        return ()
    seconds = session.limits.start_seconds
    message = f"Not ready within startSeconds ({seconds:g}): {_what_is_missing(status)}"
    return (Deadline(session.created_at + seconds, Verdict(EndReason.START_DEADLINE, message)),)


def _what_is_missing(status: Status) -> str:
    wanted = (ConditionType.ROOM_READY, ConditionType.AGENT_JOINED)
    found = [find(status.conditions, kind) for kind in wanted]
    return next((c.message for c in found if c and c.status != "True"), "the agent has not joined")
