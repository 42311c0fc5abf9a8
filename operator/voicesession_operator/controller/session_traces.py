"""What a session's life means for its trace: spans that are written once all of their moments are known.

Everything hangs below `session start`, whose place follows from the session alone: whoever leads, and whatever was
forgotten in between, the operator and the agent pods name the same one.
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
    """Of all sessions; with tracing off nothing is written, and agents are told of no trace."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def traceparent(self, session: VoiceSession) -> str:
        """What an agent's spans belong below; empty while tracing is off."""
        return write_traceparent(self._start(session)) if self._tracing.enabled else ""

    def started(self, session: VoiceSession, started_at: float, stages: dict[StartStage, float]) -> None:
        """Ready for the first time: the start, and its stages one after the other."""
        place, begin = self._start(session), started_at - stages[StartStage.FOUND]
        at = begin
        for stage, seconds in stages.items():
            self._tracing.write(stage.value.replace("_", " "), at, at + seconds, parent=place)
            at += seconds
        self._write_start(session, begin, at)

    def ended(self, session: VoiceSession, new: Status) -> None:
        """Finished: one that was never Ready has a start that failed."""
        if new.ready_at is None and new.finished_at is not None:
            self._write_start(session, session.created_at, new.finished_at, str(new.end_reason))

    def reset(self, session: VoiceSession, reset: LastReset) -> None:
        """From the stored decision until the new agent was seen; also one for which the pod was replaced."""
        if reset.completed_at is not None:
            words = {CAUSE: str(reset.cause), OUTCOME: str(reset.outcome)}
            place = self._start(session)
            self._tracing.write(RESET, reset.started_at, reset.completed_at, parent=place, attributes=words)

    def torn_down(self, session: VoiceSession, ended_at: float, now: float) -> None:
        """Neither its room nor a pod of it is left."""
        words = {END_REASON: str(session.status.end_reason)}
        self._tracing.write(TEARDOWN, ended_at, now, parent=self._start(session), attributes=words)

    def _write_start(self, session: VoiceSession, begin: float, end: float, error: str = "") -> None:
        facts = {SESSION_UID: session.uid, AGENT: session.agent_ref, NAMESPACE: session.namespace}
        given, place = read_traceparent(session.traceparent), self._start(session)
        self._tracing.write(SESSION_START, begin, end, parent=given, context=place, error=error, attributes=facts)

    def _start(self, session: VoiceSession) -> SpanContext:
        """The trace that the session was made in, or one of its own."""
        given = read_traceparent(session.traceparent)
        trace_id, flags = given.trace_id, given.trace_flags
        if not given.is_valid:
            trace_id = _id("trace", session.uid, 16)
            flags = TraceFlags(TraceFlags.SAMPLED if self._tracing.is_sampled(trace_id) else TraceFlags.DEFAULT)
        return SpanContext(trace_id, _id(SESSION_START, session.uid, 8), is_remote=False, trace_flags=flags)


def _id(what: str, session_uid: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{what} {session_uid}".encode()).digest()[:size], "big")


OFF: Final = SessionTraces(Tracing())
