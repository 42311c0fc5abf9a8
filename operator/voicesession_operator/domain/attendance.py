"""Ends that are seen in the room: the last human left, nobody ever came, nobody speaks, the agent stayed away.

All of them need a room that can be asked about, and count from when it could: after an outage of LiveKit everybody gets
the full time to come back.
"""

from voicesession_operator.api.conditions import find
from voicesession_operator.api.reasons import Action, ConditionType, EndReason
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.observed import LeaveReason, Observed, PodState, Room
from voicesession_operator.domain.people import humans
from voicesession_operator.domain.verdict import Deadline, Verdict


def last_human_left(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """The end of a session whose action is Teardown; for the others see domain.renewal."""
    if session.on_last_human_left.action != Action.TEARDOWN:
        return ()
    grace = _grace(session, status)
    message = f"The last human left ({status.last_human_left_reason}) and nobody came back within {grace:g} s"
    return _deadline(status, status.last_human_left_at, grace, Verdict(EndReason.LAST_HUMAN_LEFT, message))


def grace_over(session: VoiceSession, status: Status) -> float | None:
    """When (Unix seconds) everybody has been gone for as long as their way of leaving allows."""
    return counted_from(status, status.last_human_left_at, _grace(session, status))


def _grace(session: VoiceSession, status: Status) -> float:
    """Short after a deliberate leave, long after anything that may have been a lost connection."""
    wanted = session.on_last_human_left
    return wanted.grace_seconds if status.last_human_left_reason == LeaveReason.LEFT else wanted.reconnect_grace_seconds


def nobody_came(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """Ready for joinSeconds, and not one human."""
    if status.first_human_at is not None:
        return ()
    seconds = session.limits.join_seconds
    verdict = Verdict(EndReason.NOBODY_CAME, f"Nobody came within joinSeconds ({seconds:g})")
    return _deadline(status, status.ready_at, seconds, verdict)


def agent_stayed_away(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """An agent that was there and is seen to be gone has startSeconds to come back."""
    joined = find(status.conditions, ConditionType.AGENT_JOINED)
    if status.ready_at is None or joined is None or joined.status != "False":
        return ()
    seconds = session.limits.start_seconds
    message = f"The agent did not come back within startSeconds ({seconds:g}): {joined.message}"
    return _deadline(status, joined.since, seconds, Verdict(EndReason.AGENT_LOST, message))


def idle(session: VoiceSession, status: Status, observed: Observed, state: PodState | None) -> tuple[Deadline, ...]:
    """People are there and nobody has spoken for idleSeconds; an agent that tells nothing of them ends nothing.

    Nobody is idle before she came: the pod may still tell of the last visit when LiveKit already lists the next.
    """
    seconds = session.limits.idle_seconds
    present = humans(observed.room) if isinstance(observed.room, Room) else ()
    if seconds <= 0 or not present or state is None or state.active_at is None:
        return ()
    since = max(state.active_at, *(human.joined_at for human in present))
    verdict = Verdict(EndReason.IDLE, f"Nobody spoke for idleSeconds ({seconds:g})")
    return _deadline(status, since, seconds, verdict)


def _deadline(status: Status, since: float | None, seconds: float, verdict: Verdict) -> tuple[Deadline, ...]:
    at = counted_from(status, since, seconds)
    return () if at is None else (Deadline(at, verdict),)


def counted_from(status: Status, since: float | None, seconds: float) -> float | None:
    """`seconds` after `since`, or after LiveKit could be asked again; None while it cannot."""
    room = find(status.conditions, ConditionType.ROOM_READY)
    if since is None or room is None or room.status != "True":
        return None
    return max(since, room.since) + seconds
