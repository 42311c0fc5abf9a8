"""What a session's status tells of its latest reset, and how that reset goes on."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition
from voicesession_common.api.reasons import Action, Cause, ConditionType, Reason, ResetOutcome
from voicesession_common.api.timestamps import is_rfc3339
from voicesession_common.api.voicesession import LastReset, Status, VoiceSession

from voicesession_operator.domain.actions import Decision
from voicesession_operator.domain.deadlines import grace_ends_at
from voicesession_operator.domain.lifecycle import phase, set_ready
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.room import due_at


def is_reset_incomplete(status: Status) -> bool:
    """Also while the pod that did not manage its reset, or died of it, is being replaced."""
    return status.last_reset is not None and status.last_reset.completed_at is None


def mark_reset_replaced(stored: Status, status: Status) -> Status:
    """A pod that replaces one lost during a reset begins a new conversation of itself."""
    if status.last_reset is None or not status.is_resetting or status.replacements == stored.replacements:
        return status
    return replace(status, last_reset=replace(status.last_reset, outcome=ResetOutcome.REPLACED))


def complete_reset(status: Status, now: float) -> Status:
    """A reset is complete when its agent is seen in the room."""
    last = status.last_reset
    if (
        last is None
        or last.completed_at is not None
        or not is_condition_true(status.conditions, ConditionType.AGENT_JOINED)
    ):
        return status
    outcome = ResetOutcome.COMPLETE if status.is_resetting else last.outcome
    return replace(status, last_reset=replace(last, completed_at=now, outcome=outcome))


def set_refused_request(session: VoiceSession, status: Status) -> Status:
    """Remember what cannot be obeyed, so that it is told of once."""
    refused = session.reset_request and not is_rfc3339(session.reset_request)
    return replace(status, refused_request=session.reset_request if refused else "")


def requested_reset_due_at(session: VoiceSession, status: Status) -> float | None:
    """When (Unix seconds) the reset is due: at once, but not before the first agent came, nor without LiveKit.

    The time that was written is a name for the request and decides nothing: clocks differ.
    """
    if not session.reset_request or status.refused_request or session.reset_request == handled_request(status):
        return None
    return due_at(status, status.ready_at, 0.0)


def handled_request(status: Status) -> str:
    """The request that the latest reset, or one before it, was begun for."""
    return "" if status.last_reset is None else status.last_reset.request


ABSENT_SECONDS: Final = 5.0
"""How long an agent may be missing from the room before it is begun anew: a job that is restarted is back in 0.5 s."""
RELAPSE_SECONDS: Final = 60.0
"""An agent that is missing again so soon after a reset for it gets a new pod instead of another reset."""


def resets(session: VoiceSession, status: Status, now: float) -> tuple[Decision, ...]:
    """One reset at a time: the next one waits until the last is complete, and stored as that."""
    if is_reset_incomplete(status):
        return ()
    due = {
        # The first one that is due serves them all: what was asked for must not come again right after another.
        Cause.REQUESTED: requested_reset_due_at(session, status),
        Cause.LAST_HUMAN_LEFT: _left(session, status),
        Cause.AGENT_ABSENT: _absent(status),
    }
    just_completed = is_reset_incomplete(session.status)
    return tuple(
        Decision(at, status if just_completed else _begin(session, status, cause, now))
        for cause, at in due.items()
        if at is not None
    )


def relapse_at(status: Status) -> float | None:
    """When an agent that is missing again has been so for too long; None if this is not its second time."""
    at = _absent_at(status)
    return at if at is not None and not is_reset_incomplete(status) and _is_relapse(status, at) else None


def _left(session: VoiceSession, status: Status) -> float | None:
    return None if session.on_last_human_left.action == Action.TEARDOWN else grace_ends_at(session, status)


def _absent(status: Status) -> float | None:
    at = _absent_at(status)
    return None if at is None or _is_relapse(status, at) else at


def _absent_at(status: Status) -> float | None:
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if joined is None or joined.reason != Reason.AGENT_ABSENT:
        return None
    return due_at(status, joined.since, ABSENT_SECONDS)


def _is_relapse(status: Status, at: float) -> bool:
    last = status.last_reset
    if last is None or last.completed_at is None or last.cause != Cause.AGENT_ABSENT:
        return False
    return at - last.completed_at < RELAPSE_SECONDS


def _begin(session: VoiceSession, status: Status, cause: Cause, now: float) -> Status:
    recycle = cause == Cause.LAST_HUMAN_LEFT and _can_recycle(session, status)
    begun = replace(
        status,
        resets=status.resets + 1,
        recycles=status.recycles + int(recycle),
        last_reset=LastReset(
            cause, now, request=session.reset_request if cause is Cause.REQUESTED else handled_request(status)
        ),
    )
    begun = replace(
        begun, agent_epoch=begun.desired_epoch, conditions=set_condition(status.conditions, resetting(begun), now)
    )
    begun = set_ready(begun, now)
    if recycle:
        begun = replace(begun, next_pod=pod_name(session.name, session.uid, begun.newest_ordinal))
    if session.on_last_human_left.action != Action.TEARDOWN:
        # What a fresh agent does not know needs no second reset.
        begun = replace(begun, last_human_left_at=None, last_human_left_reason="")
    return replace(begun, phase=str(phase(begun)))


def _can_recycle(session: VoiceSession, status: Status) -> bool:
    """Where a new pod is on its way already, or the agent is missing, a reset does the same."""
    wanted = session.on_last_human_left.action == Action.RECYCLE
    return wanted and not status.next_pod and is_condition_true(status.conditions, ConditionType.AGENT_JOINED)


def resetting(status: Status) -> Condition:
    """That a reset runs, and why."""
    why = f" ({status.last_reset.cause})" if status.last_reset else ""
    message = f"Reset {status.resets}{why}: a fresh agent is taking the place of the old one"
    return Condition(ConditionType.AGENT_JOINED, "False", Reason.RESETTING, message)
