"""The limits that hold whatever LiveKit says: the start, the whole duration, and the user's own `end: true`."""

from math import inf
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.reasons import Action, ConditionType, EndReason, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Deadline, EndOfSession
from voicesession_operator.domain.humans import humans
from voicesession_operator.domain.lifecycle import REQUIRED
from voicesession_operator.domain.observed import AgentPodState, LeaveReason, Observed, Room
from voicesession_operator.domain.room import due_at

INVALID_POD: Final = "Invalid"
"""The API server's own word for a pod that can never be as it is written."""
NEVER: Final = frozenset({Reason.AGENT_NOT_FOUND, Reason.AGENT_INVALID, INVALID_POD})
"""What only somebody who changes a spec can mend."""
TRYING: Final = frozenset({Reason.ROOM_CREATING, Reason.STARTING})
"""So far nothing is wrong; a refusal of the last try is what the stored status has."""


def requested(session: VoiceSession) -> tuple[Deadline, ...]:
    """`spec.end` ends the session now."""
    return (Deadline(-inf, EndOfSession(EndReason.REQUESTED, "spec.end was set")),) if session.end else ()


def max_duration(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """Counts from Ready, or from the first reconcile of a session that never got there."""
    seconds = session.limits.max_duration_seconds
    since = status.ready_at if status.ready_at is not None else status.started_at
    if since is None:
        return ()
    return (
        Deadline(since + seconds, EndOfSession(EndReason.MAX_DURATION, f"maxDurationSeconds ({seconds:g}) is over")),
    )


def start(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """The agent must be in the room within startSeconds of the session's creation; until then a spec may be mended."""
    if status.ready_at is not None:
        return ()
    seconds = session.limits.start_seconds
    missing = next(filter(None, (_missing(kind, session.status, status) for kind in REQUIRED)), None)
    reason = EndReason.INVALID if missing and missing.reason in NEVER else EndReason.START_DEADLINE
    what = missing.message if missing else "the agent has not joined"
    end = EndOfSession(reason, f"Not ready within startSeconds ({seconds:g}): {what}")
    return (Deadline(session.created_at + seconds, end),)


def _missing(kind: str, stored: Status, status: Status) -> Condition | None:
    """The condition that says why not; None if it is True."""
    now, before = find_condition(status.conditions, kind), find_condition(stored.conditions, kind)
    if now is None or now.status == "True":
        return None
    was_refused = before is not None and before.status == "False" and before.reason not in frozenset(Reason)
    return before if now.reason in TRYING and was_refused else now


def last_human_left(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """The end of a session whose action is Teardown; for the others see domain.renewal."""
    if session.on_last_human_left.action != Action.TEARDOWN:
        return ()
    grace = _grace(session, status)
    message = f"The last human left ({status.last_human_left_reason}) and nobody came back within {grace:g} s"
    return _deadline(status, status.last_human_left_at, grace, EndOfSession(EndReason.LAST_HUMAN_LEFT, message))


def grace_ends_at(session: VoiceSession, status: Status) -> float | None:
    """When (Unix seconds) everybody has been gone for as long as their way of leaving allows."""
    return due_at(status, status.last_human_left_at, _grace(session, status))


def _grace(session: VoiceSession, status: Status) -> float:
    """Short after a deliberate leave, long after anything that may have been a lost connection."""
    wanted = session.on_last_human_left
    return wanted.grace_seconds if status.last_human_left_reason == LeaveReason.LEFT else wanted.reconnect_grace_seconds


def nobody_came(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """Ready for joinSeconds, and not one human."""
    if status.first_human_at is not None:
        return ()
    seconds = session.limits.join_seconds
    end = EndOfSession(EndReason.NOBODY_CAME, f"Nobody came within joinSeconds ({seconds:g})")
    return _deadline(status, status.ready_at, seconds, end)


def agent_stayed_away(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """An agent that was there and is seen to be gone has startSeconds to come back."""
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if status.ready_at is None or joined is None or joined.status != "False":
        return ()
    seconds = session.limits.start_seconds
    message = f"The agent did not come back within startSeconds ({seconds:g}): {joined.message}"
    return _deadline(status, joined.since, seconds, EndOfSession(EndReason.AGENT_LOST, message))


def idle(
    session: VoiceSession, status: Status, observed: Observed, state: AgentPodState | None
) -> tuple[Deadline, ...]:
    """People are there and nobody has spoken for idleSeconds; an agent that tells nothing of them ends nothing.

    Nobody is idle before she came: the pod may still tell of the last visit when LiveKit already lists the next.
    """
    seconds = session.limits.idle_seconds
    present = humans(observed.room) if isinstance(observed.room, Room) else ()
    if seconds <= 0 or not present or state is None or state.active_at is None:
        return ()
    since = max(state.active_at, *(human.joined_at for human in present))
    end = EndOfSession(EndReason.IDLE, f"Nobody spoke for idleSeconds ({seconds:g})")
    return _deadline(status, since, seconds, end)


def _deadline(status: Status, since: float | None, seconds: float, end: EndOfSession) -> tuple[Deadline, ...]:
    at = due_at(status, since, seconds)
    return () if at is None else (Deadline(at, end),)
