"""Resets: requests, start, completion, and the decision that one is due."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition
from voicesession_common.api.reasons import Action, Cause, ConditionType, Reason, ResetOutcome
from voicesession_common.api.timestamps import is_rfc3339
from voicesession_common.api.voicesession import Absence, LastReset, Status, VoiceSession

from voicesession_operator.domain.actions import Decision
from voicesession_operator.domain.deadlines import grace_ends_at, grace_trial_seconds
from voicesession_operator.domain.lifecycle import derive_phase, set_ready
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import Observed
from voicesession_operator.domain.room import due_at

ABSENT_SECONDS: Final = 20.0
"""Absence of the agent from the room before a reset, which costs the conversation.

LiveKit's client tries every 5 s to reconnect (livekit-rtc 1.1.21), so this is time for three attempts. After a restart
of LiveKit, an agent was back 5 s after its room.
"""
RELAPSE_SECONDS: Final = 60.0
"""An agent that is absent again this soon after a reset for its absence gets a new pod instead of another reset."""


def is_reset_incomplete(status: Status) -> bool:
    """Return True until the new agent joins, also while a pod that failed during its reset is being replaced."""
    return status.last_reset is not None and status.last_reset.completed_at is None


def mark_reset_replaced(stored: Status, status: Status) -> Status:
    """Set the outcome Replaced if the pod was lost during a reset: its replacement starts a new conversation anyway."""
    if status.last_reset is None or not status.is_resetting or status.replacements == stored.replacements:
        return status
    return replace(status, last_reset=replace(status.last_reset, outcome=ResetOutcome.REPLACED))


def complete_reset(status: Status, now: float) -> Status:
    """Complete the reset if its agent is in the room."""
    last, is_joined = status.last_reset, is_condition_true(status.conditions, ConditionType.AGENT_JOINED)
    if last is None or last.completed_at is not None or not is_joined:
        return status
    outcome = ResetOutcome.COMPLETE if status.is_resetting else last.outcome
    return replace(status, last_reset=replace(last, completed_at=now, outcome=outcome))


def set_refused_request(session: VoiceSession, status: Status) -> Status:
    """Store an invalid reset request, so that its event is emitted once."""
    is_refused = session.reset_request and not is_rfc3339(session.reset_request)
    return replace(status, refused_request=session.reset_request if is_refused else "")


def requested_reset_due_at(session: VoiceSession, status: Status) -> float | None:
    """Return the due time (Unix seconds) of a requested reset: immediately, but not before Ready or without LiveKit.

    The time in the annotation only identifies the request, because clocks differ.
    """
    if not session.reset_request or status.refused_request or session.reset_request == handled_request(status):
        return None
    return due_at(status, status.ready_at, 0.0)


def handled_request(status: Status) -> str:
    """Return the latest reset request that was handled, by the latest reset or an earlier one."""
    return "" if status.last_reset is None else status.last_reset.request


def due_resets(session: VoiceSession, status: Status, observed: Observed, now: float) -> tuple[Decision, ...]:
    """Return the resets that are due or will be. The next reset waits until the last one is stored as complete."""
    if is_reset_incomplete(status):
        return ()
    is_teardown = session.on_last_human_left.action == Action.TEARDOWN
    due = {
        # The first due reset serves all causes, so a requested reset must not follow right after another one.
        Cause.REQUESTED: requested_reset_due_at(session, status),
        Cause.LAST_HUMAN_LEFT: None if is_teardown else grace_ends_at(session, status, observed),
        Cause.AGENT_ABSENT: _absence_due_at(status),
    }
    just_completed = is_reset_incomplete(session.status)
    trials = {Cause.LAST_HUMAN_LEFT: grace_trial_seconds(session, status)}
    return tuple(
        Decision(at, status if just_completed else _start_reset(session, status, cause, now), trials.get(cause, 0.0))
        for cause, at in due.items()
        if at is not None
    )


def relapse_at(status: Status) -> float | None:
    """Return the time limit of a second absence soon after the first, or None if there is none."""
    at = _absence_ends_at(status)
    return at if at is not None and not is_reset_incomplete(status) and _is_relapse(status, at) else None


def _absence_due_at(status: Status) -> float | None:
    at = _absence_ends_at(status)
    return None if at is None or _is_relapse(status, at) else at


def _absence_ends_at(status: Status) -> float | None:
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if joined is None or joined.reason != Reason.AGENT_ABSENT:
        return None
    return due_at(status, joined.since, ABSENT_SECONDS)


def _is_relapse(status: Status, at: float) -> bool:
    last = status.last_reset
    if last is None or last.completed_at is None or last.cause != Cause.AGENT_ABSENT:
        return False
    return at - last.completed_at < RELAPSE_SECONDS


def _start_reset(session: VoiceSession, status: Status, cause: Cause, now: float) -> Status:
    is_recycle = cause == Cause.LAST_HUMAN_LEFT and _can_recycle(session, status)
    request = session.reset_request if cause is Cause.REQUESTED else handled_request(status)
    started = replace(
        status,
        resets=status.resets + 1,
        recycles=status.recycles + int(is_recycle),
        last_reset=LastReset(cause, now, request=request),
        absence=status.absence or Absence(status.agent_pod, now),
    )
    conditions = set_condition(status.conditions, resetting_condition(started), now)
    started = set_ready(replace(started, agent_epoch=started.desired_epoch, conditions=conditions), now)
    if is_recycle:
        started = replace(started, next_pod=pod_name(session.name, session.uid, started.newest_ordinal))
    if session.on_last_human_left.action != Action.TEARDOWN:
        # The new agent knows nothing of the last conversation, so that leave needs no second reset.
        started = replace(started, last_human_left_at=None, last_human_left_reason="")
    return replace(started, phase=str(derive_phase(started)))


def _can_recycle(session: VoiceSession, status: Status) -> bool:
    """Return True if a new pod helps; a reset is enough if one is starting already or the agent is not in the room."""
    is_configured = session.on_last_human_left.action == Action.RECYCLE
    return is_configured and not status.next_pod and is_condition_true(status.conditions, ConditionType.AGENT_JOINED)


def resetting_condition(status: Status) -> Condition:
    """Return AgentJoined during a reset, with its cause."""
    cause = f" ({status.last_reset.cause})" if status.last_reset else ""
    message = f"Reset {status.resets}{cause}: a new agent is replacing the old one"
    return Condition(ConditionType.AGENT_JOINED, "False", Reason.RESETTING, message)
