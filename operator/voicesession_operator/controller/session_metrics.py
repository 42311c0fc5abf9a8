"""What a change of a session's status means for the metrics; counted once it is stored."""

from voicesession_operator.api.conditions import find
from voicesession_operator.api.reasons import ConditionType, Reason, ResetOutcome
from voicesession_operator.api.session import LastReset, Status, VoiceSession
from voicesession_operator.telemetry import metrics
from voicesession_operator.telemetry.labels import ReplacementReason


def count_changes(session: VoiceSession, new: Status) -> None:
    """`session` still has the status from before the write."""
    old = session.status
    if old.ready_at is None and new.ready_at is not None:
        metrics.READY_SECONDS.observe(max(new.ready_at - session.created_at, 0.0))
    if old.finished_at is None and new.finished_at is not None:
        metrics.SESSIONS_FINISHED.labels(new.end_reason).inc()
    if new.replacements > old.replacements:
        metrics.REPLACEMENTS.labels(why_replaced(old, new).value).inc(new.replacements - old.replacements)
    if new.last_reset is not None and new.last_reset != old.last_reset:
        _count_reset(new.last_reset)


def why_replaced(old: Status, new: Status) -> ReplacementReason:
    """Why a pod was counted as replaced between these two."""
    if _is_escalated(new) and not _is_escalated(old):
        return ReplacementReason.RESET_ESCALATED
    if old.next_pod:
        return ReplacementReason.RECYCLE_FAILED
    if new.agent_pod:
        return ReplacementReason.POD_LOST
    # A pod that is given up leaves the status without one, until its successor is made.
    joined = find(new.conditions, ConditionType.AGENT_JOINED)
    absent = joined is not None and joined.reason == Reason.AGENT_ABSENT
    return ReplacementReason.AGENT_ABSENT if absent else ReplacementReason.AGENT_AWAY


def _is_escalated(status: Status) -> bool:
    return status.last_reset is not None and status.last_reset.outcome == ResetOutcome.ESCALATED


def _count_reset(reset: LastReset) -> None:
    """One that is escalated counts when it is; its outcome cannot change any more."""
    escalated = reset.outcome == ResetOutcome.ESCALATED
    if escalated != (reset.completed_at is not None):
        metrics.RESETS.labels(str(reset.cause), str(reset.outcome)).inc()
    if reset.completed_at is not None and not escalated:
        metrics.RESET_SECONDS.observe(max(reset.completed_at - reset.started_at, 0.0))
