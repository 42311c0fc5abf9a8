"""Ends that are seen in the room: the last human left, nobody ever came, the agent stayed away.

All of them need a room that can be asked about, and count from when it could: after an outage of LiveKit everybody gets
the full time to come back.
"""

from voicesession_operator.api.conditions import find
from voicesession_operator.api.reasons import ConditionType, EndReason
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.observed import LeaveReason
from voicesession_operator.domain.verdict import Deadline, Verdict


def last_human_left(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """A short grace after a deliberate leave, a long one after anything that may have been a lost connection."""
    reason = status.last_human_left_reason
    wanted = session.on_last_human_left
    grace = wanted.grace_seconds if reason == LeaveReason.LEFT else wanted.reconnect_grace_seconds
    message = f"The last human left ({reason}) and nobody came back within {grace:g} s"
    return _deadline(status, status.last_human_left_at, grace, Verdict(EndReason.LAST_HUMAN_LEFT, message))


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


def _deadline(status: Status, since: float | None, seconds: float, verdict: Verdict) -> tuple[Deadline, ...]:
    room = find(status.conditions, ConditionType.ROOM_READY)
    if since is None or room is None or room.status != "True":
        return ()
    return (Deadline(max(since, room.since) + seconds, verdict),)
