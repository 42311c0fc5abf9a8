"""What a change of a session's status means for the metrics; counted once it is stored."""

from voicesession_operator.api.reasons import ResetOutcome
from voicesession_operator.api.session import LastReset, Status, VoiceSession
from voicesession_operator.telemetry import metrics


def count_changes(session: VoiceSession, new: Status) -> None:
    """`session` still has the status from before the write."""
    old = session.status
    if old.ready_at is None and new.ready_at is not None:
        metrics.READY_SECONDS.observe(max(new.ready_at - session.created_at, 0.0))
    if old.finished_at is None and new.finished_at is not None:
        metrics.SESSIONS_FINISHED.labels(new.end_reason).inc()
    metrics.REPLACEMENTS.inc(max(new.replacements - old.replacements, 0))
    if new.last_reset is not None and new.last_reset != old.last_reset:
        _count_reset(new.last_reset)


def _count_reset(reset: LastReset) -> None:
    """One that is escalated counts when it is; its outcome cannot change any more."""
    escalated = reset.outcome == ResetOutcome.ESCALATED
    if escalated != (reset.completed_at is not None):
        metrics.RESETS.labels(str(reset.cause), str(reset.outcome)).inc()
    if reset.completed_at is not None and not escalated:
        metrics.RESET_SECONDS.observe(max(reset.completed_at - reset.started_at, 0.0))
