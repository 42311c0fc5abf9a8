"""What a session's status tells of its latest reset, and how that reset goes on."""

from dataclasses import replace

from voicesession_operator.api.conditions import is_true
from voicesession_operator.api.reasons import ConditionType, ResetOutcome
from voicesession_operator.api.session import Status


def epoch_of(status: Status) -> int:
    """Counts the conversations an agent job was wanted for, so that a pod can tell a newer demand from an older one."""
    return 1 + status.resets + status.replacements


def is_running(status: Status) -> bool:
    """A reset is told, or about to be, and its agent has not been seen: whoever is in the room is of the old epoch."""
    return status.last_reset is not None and status.last_reset.outcome == ResetOutcome.RUNNING


def is_incomplete(status: Status) -> bool:
    """Also while the pod that did not manage its reset, or died of it, is being replaced."""
    return status.last_reset is not None and status.last_reset.completed_at is None


def note_replaced(stored: Status, status: Status) -> Status:
    """A pod that replaces one lost during a reset begins a new conversation of itself."""
    if status.last_reset is None or not is_running(status) or status.replacements == stored.replacements:
        return status
    return replace(status, last_reset=replace(status.last_reset, outcome=ResetOutcome.REPLACED))


def note_complete(status: Status, now: float) -> Status:
    """A reset is complete when its agent is seen in the room."""
    last = status.last_reset
    if last is None or last.completed_at is not None or not is_true(status.conditions, ConditionType.AGENT_JOINED):
        return status
    outcome = ResetOutcome.COMPLETE if is_running(status) else last.outcome
    return replace(status, last_reset=replace(last, completed_at=now, outcome=outcome))
