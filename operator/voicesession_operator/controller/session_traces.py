"""Spans of a session, each written once its start and end are known.

All spans are descendants of `session start`. Its context is derived from the session alone, so every leader and every
agent pod computes the same one, also after a restart.
"""

import hashlib
from typing import Final

from opentelemetry.trace import SpanContext, TraceFlags
from voicesession_common.api.voicesession import LastReset, Status, VoiceSession
from voicesession_common.tracing import Tracing, read_traceparent, write_traceparent

from voicesession_operator.metric_labels import StartStage

SESSION_START: Final = "session start"
RESET: Final = "reset"
TEARDOWN: Final = "teardown"
SESSION_UID: Final = "voicesession.session.uid"
NAMESPACE: Final = "voicesession.namespace"
AGENT: Final = "voicesession.agent"
CAUSE: Final = "voicesession.reset.cause"
OUTCOME: Final = "voicesession.reset.outcome"
END_REASON: Final = "voicesession.end_reason"


class SessionTraces:
    """Writes the spans of all sessions. With tracing off it writes none, and agents receive no trace context."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def traceparent(self, session: VoiceSession) -> str:
        """Return the parent of an agent's spans; empty while tracing is off."""
        return write_traceparent(self._start_context(session)) if self._tracing.enabled else ""

    def started(self, session: VoiceSession, started_at: float, stages: dict[StartStage, float]) -> None:
        """Write the start and its stages when the session is Ready for the first time."""
        context, begin = self._start_context(session), started_at - stages[StartStage.FOUND]
        at = begin
        for stage, seconds in stages.items():
            self._tracing.write(stage.value.replace("_", " "), at, at + seconds, parent=context)
            at += seconds
        self._write_start(session, begin, at)

    def ended(self, session: VoiceSession, new: Status) -> None:
        """Write a failed start when a session finishes that was never Ready."""
        if new.ready_at is None and new.finished_at is not None:
            self._write_start(session, session.created_at, new.finished_at, str(new.end_reason))

    def reset(self, session: VoiceSession, reset: LastReset) -> None:
        """Write a completed or escalated reset, from the stored decision until LiveKit listed the new agent."""
        if reset.completed_at is not None:
            attributes = {CAUSE: str(reset.cause), OUTCOME: str(reset.outcome)}
            parent = self._start_context(session)
            self._tracing.write(RESET, reset.started_at, reset.completed_at, parent=parent, attributes=attributes)

    def torn_down(self, session: VoiceSession, ended_at: float, now: float) -> None:
        """Write the teardown when the room and all pods of the session are gone."""
        attributes = {END_REASON: str(session.status.end_reason)}
        self._tracing.write(TEARDOWN, ended_at, now, parent=self._start_context(session), attributes=attributes)

    def _write_start(self, session: VoiceSession, begin: float, end: float, error: str = "") -> None:
        attributes = {SESSION_UID: session.uid, AGENT: session.agent_ref, NAMESPACE: session.namespace}
        parent, context = read_traceparent(session.traceparent), self._start_context(session)
        self._tracing.write(
            SESSION_START, begin, end, parent=parent, context=context, error=error, attributes=attributes
        )

    def _start_context(self, session: VoiceSession) -> SpanContext:
        """Return the context of `session start`: in the trace of the session's creation, or in a new trace."""
        given = read_traceparent(session.traceparent)
        trace_id, flags = given.trace_id, given.trace_flags
        if not given.is_valid:
            trace_id = _id("trace", session.uid, 16)
            flags = TraceFlags(TraceFlags.SAMPLED if self._tracing.is_sampled(trace_id) else TraceFlags.DEFAULT)
        return SpanContext(trace_id, _id(SESSION_START, session.uid, 8), is_remote=False, trace_flags=flags)


def _id(kind: str, session_uid: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{kind} {session_uid}".encode()).digest()[:size], "big")


OFF: Final = SessionTraces(Tracing())
