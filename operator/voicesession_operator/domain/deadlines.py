"""Deadlines that end a session: requested end, the agent's own end, duration, start, absence of humans, silence."""

from dataclasses import replace
from math import inf
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.reasons import Action, EndReason, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Deadline, EndOfSession
from voicesession_operator.domain.humans import connecting_humans, present_humans
from voicesession_operator.domain.lifecycle import REQUIRED
from voicesession_operator.domain.observed import AgentPodState, LeaveReason, Observed
from voicesession_operator.domain.room import TRIAL_SECONDS, due_at

INVALID_POD: Final = "Invalid"
"""The API server's reason for refusing an invalid pod manifest."""
PERMANENT_REASONS: Final = frozenset({Reason.AGENT_NOT_FOUND, Reason.AGENT_INVALID, INVALID_POD})
"""Reasons that only a change of a spec can remove."""
EXPECTED_SECONDS: Final = 15.0
"""Time from the gateway's token until LiveKit lists the human: a slow network needs some seconds."""
IN_PROGRESS_REASONS: Final = frozenset({Reason.ROOM_CREATING, Reason.STARTING})
"""Reasons without an error. If the last try was refused, the stored status has the refusal."""


def end_requested(session: VoiceSession) -> tuple[Deadline, ...]:
    """End the session now if `spec.end` is set."""
    return (Deadline(-inf, EndOfSession(EndReason.REQUESTED, "spec.end was set")),) if session.end else ()


def agent_ended(session: VoiceSession, status: Status, state: AgentPodState | None) -> tuple[Deadline, ...]:
    """End the session now, whatever its action is, if the agent of its current conversation has ended it.

    An agent that a reset is about to replace cannot end it. The epoch of a serving pod may be lower than the session's,
    because the successors of a recycle count too.
    """
    if state is None or state.session_uid != session.uid or state.ended_epoch < 1:
        return ()
    if state.ended_epoch != state.epoch or (status.is_resetting and state.ended_epoch < status.agent_epoch):
        return ()
    return (Deadline(-inf, EndOfSession(EndReason.AGENT_ENDED, "The agent ended the session")),)


def max_duration(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """End the session maxDurationSeconds after Ready, or after the first reconcile if it never became Ready."""
    seconds = session.limits.max_duration_seconds
    since = status.ready_at if status.ready_at is not None else status.started_at
    if since is None:
        return ()
    end = EndOfSession(EndReason.MAX_DURATION, f"maxDurationSeconds ({seconds:g}) is over")
    return (Deadline(since + seconds, end),)


def start_deadline(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """End a session that is not Ready within startSeconds of its first reconcile.

    It does not end earlier, because until then a spec can be corrected.
    """
    if status.ready_at is not None or status.started_at is None:
        return ()
    seconds = session.limits.start_seconds
    missing = next(filter(None, (_missing_condition(kind, session.status, status) for kind in REQUIRED)), None)
    reason = EndReason.INVALID if missing and missing.reason in PERMANENT_REASONS else EndReason.START_DEADLINE
    cause = missing.message if missing else "the agent has not joined"
    end = EndOfSession(reason, f"Not ready within startSeconds ({seconds:g}): {cause}")
    return (Deadline(status.started_at + seconds, end, min(seconds, TRIAL_SECONDS)),)


def _missing_condition(kind: str, stored: Status, status: Status) -> Condition | None:
    """Return the condition with the cause of the delay, or None if it is True."""
    now, before = find_condition(status.conditions, kind), find_condition(stored.conditions, kind)
    if now is None or now.status == "True":
        return None
    was_refused = before is not None and before.status == "False" and before.reason not in frozenset(Reason)
    return before if now.reason in IN_PROGRESS_REASONS and was_refused else now


def last_human_left(session: VoiceSession, status: Status, observed: Observed) -> tuple[Deadline, ...]:
    """End a session with the action Teardown after the grace period; domain.reset has the other actions.

    There is no end while a human is connecting.
    """
    at = grace_ends_at(session, status, observed)
    if session.on_last_human_left.action != Action.TEARDOWN or at is None:
        return ()
    grace = _grace_seconds(session, status.last_human_left_reason)
    message = f"The last human left ({status.last_human_left_reason}) and nobody came back within {grace:g} s"
    return (Deadline(at, EndOfSession(EndReason.LAST_HUMAN_LEFT, message), grace_trial_seconds(session, status)),)


def grace_trial_seconds(session: VoiceSession, status: Status) -> float:
    """Return the time for which this process must have watched the session before its grace is over.

    The leave was stored by the clock of an earlier leader, which may be ahead or behind, so a new leader grants the
    grace once more, but at most TRIAL_SECONDS.
    """
    return min(_grace_seconds(session, status.last_human_left_reason), TRIAL_SECONDS)


def grace_ends_at(session: VoiceSession, status: Status, observed: Observed) -> float | None:
    """Return the end of the grace period (Unix seconds), or None if it does not run or a human is connecting."""
    if connecting_humans(observed.room):
        return None
    at = due_at(status, status.last_human_left_at, _grace_seconds(session, status.last_human_left_reason))
    return None if at is None else _wait_for_expected_human(session, status, at)


SHORT_GRACE_SECONDS: Final = 3.0
"""Longest remaining grace that is not stored when it starts; the built-in graceSeconds."""


def without_short_grace(session: VoiceSession, status: Status, observed: Observed, now: float) -> Status:
    """Return the status to store: without a leave that ends the session within SHORT_GRACE_SECONDS.

    The end stores the leave as well, and a human that is back before, as after a reload of a page, needs no write.
    A leave at `now` is stored, because the next reconcile could not find its time again.
    """
    old, left_at = session.status, status.last_human_left_at
    ends_at = grace_ends_at(session, status, observed)
    is_stored = old.last_human_left_at is not None or session.on_last_human_left.action != Action.TEARDOWN
    if is_stored or left_at is None or ends_at is None or left_at >= now or ends_at - now > SHORT_GRACE_SECONDS:
        return status
    before = replace(
        status,
        humans=old.humans,
        phase=old.phase,
        last_human_left_at=None,
        last_human_left_reason=old.last_human_left_reason,
    )
    return before if before == old else status


def _wait_for_expected_human(session: VoiceSession, status: Status, at: float) -> float:
    """Return the deadline `at`, or a later one if the gateway has issued a token since the last human left.

    The token's time is of another clock, so it moves the deadline by EXPECTED_SECONDS at most.
    """
    expected = session.human_expected_at
    if expected is None or expected < (status.last_human_left_at or 0.0):
        return at
    return min(max(at, expected + EXPECTED_SECONDS), at + EXPECTED_SECONDS)


def _grace_seconds(session: VoiceSession, reason: str) -> float:
    """Return the short grace after a deliberate leave, and the long one after a possible connection loss."""
    spec = session.on_last_human_left
    return spec.grace_seconds if reason == LeaveReason.LEFT else spec.reconnect_grace_seconds


def nobody_came(session: VoiceSession, status: Status, observed: Observed) -> tuple[Deadline, ...]:
    """End a session without a human joinSeconds after Ready, but not while one is connecting.

    A human that could not connect has the usual grace to try again.
    """
    if status.first_human_at is not None or connecting_humans(observed.room):
        return ()
    seconds = session.limits.join_seconds
    end = EndOfSession(EndReason.NOBODY_CAME, f"Nobody came within joinSeconds ({seconds:g})")
    at = due_at(status, status.ready_at, seconds)
    if at is None:
        return ()
    retries_end_at = [hint.at + _grace_seconds(session, hint.reason) for hint in observed.leave_hints]
    at = max(_wait_for_expected_human(session, status, at), *retries_end_at, -inf)
    return (Deadline(at, end, min(seconds, TRIAL_SECONDS)),)


def idle(
    session: VoiceSession, status: Status, observed: Observed, state: AgentPodState | None
) -> tuple[Deadline, ...]:
    """End the session if its humans have not spoken for idleSeconds; requires a report from the agent.

    The time counts at the earliest from the join of the humans in the room, also of those that are connecting,
    because the pod can still report the activity of an earlier visit when LiveKit already lists the next human.
    """
    seconds = session.limits.idle_seconds
    present = present_humans(observed.room)
    if seconds <= 0 or not present or state is None or state.active_at is None:
        return ()
    since = max(state.active_at, *(human.joined_at for human in (*present, *connecting_humans(observed.room))))
    end = EndOfSession(EndReason.IDLE, f"Nobody spoke for idleSeconds ({seconds:g})")
    at = due_at(status, since, seconds)
    return () if at is None else (Deadline(at, end),)
