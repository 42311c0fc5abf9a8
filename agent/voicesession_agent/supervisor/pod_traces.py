"""Spans of the session's trace from the pod: jobs, joins, the first audio, and the stages of every turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import SpanContext

from voicesession_agent.memory.backend import MemoryCall, MemoryOutcome
from voicesession_agent.protocol import RESPONSE, Stage
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.tracing import NO_SPAN, AgentTracing, read_traceparent

JOB: Final = "job"
JOIN: Final = "join"
MEMORY_LOAD: Final = "memory load"
FIRST_AUDIO: Final = "first audio"
TURN: Final = "turn"
EPOCH: Final = "voicesession.epoch"
CAUSE: Final = "voicesession.cause"
NOT_JOINED: Final = "NotJoined"
HEARING: Final = (Stage.TRANSCRIPTION, Stage.END_OF_TURN, Stage.HOOK)
ANSWERING: Final = (Stage.LLM, Stage.TTS)
"""Stages counted back from the first audio, because the model may start before the turn is known to have ended."""


@dataclass
class _Job:
    """Times of one job in Unix seconds; None before the event."""

    started: float
    taken: float | None = None
    joined: float | None = None
    met: float | None = None
    """Time at which job and human were both in the room."""
    heard: bool = False
    """The job has sent its first audio."""


class PodTraces:
    """Writes the pod's spans. It writes none before the desired state has a sampled traceparent."""

    def __init__(self, tracing: AgentTracing, clock: Callable[[], float]) -> None:
        self._tracing = tracing
        self._clock = clock
        self._parent: SpanContext = NO_SPAN
        self._about: Mapping[str, str | int] = {}
        self._job: _Job | None = None
        self._memory_loaded = False
        self._utterance: dict[str, float] = {}
        """Stages of the human's last utterance, until the response."""

    def on_desired_state(self, desired: DesiredState, *, is_reset: bool) -> None:
        """Use the parent and attributes of the desired state; `is_reset` marks a new conversation."""
        self._parent = read_traceparent(desired.traceparent)
        self._about = {EPOCH: desired.epoch, CAUSE: desired.cause}
        self._memory_loaded = self._memory_loaded and not is_reset

    def job_starts(self) -> None:
        self._job = _Job(self._clock())
        self._utterance = {}

    def job_taken(self) -> None:
        """Record that a process has accepted the job."""
        if self._job is not None:
            self._job.taken = self._clock()

    def joined(self) -> None:
        if self._job is not None and self._job.joined is None:
            self._job.joined = now = self._clock()
            place = self._write(JOB, self._job.started, now, attributes=self._about)
            self._write(JOIN, self._job.taken or self._job.started, now, parent=place)

    def job_ended(self) -> None:
        """Record the end of the job; a job that never joined gets a failed span."""
        job, self._job = self._job, None
        if job is not None and job.joined is None:
            self._write(JOB, job.started, self._clock(), error=NOT_JOINED, attributes=self._about)

    def met(self) -> None:
        """Record that the job sees a human."""
        if self._job is not None and self._job.met is None:
            self._job.met = self._clock()

    def observe_memory_call(self, call: MemoryCall, outcome: MemoryOutcome, seconds: float) -> None:
        """Write spans of memory loads until the first success, because only these can delay speech."""
        if call is MemoryCall.LOAD and not self._memory_loaded:
            self._memory_loaded = outcome is MemoryOutcome.OK
            now, error = self._clock(), "" if outcome is MemoryOutcome.OK else outcome.value
            self._write(MEMORY_LOAD, now - seconds, now, error=error)

    def observe_response(self, seconds: Mapping[str, float], spoke_at: float | None) -> None:
        """Record the seconds of a message by Stage and RESPONSE; an agent's message has the time of its first audio."""
        utterance = {stage.value: seconds[stage] for stage in HEARING if stage in seconds}
        if spoke_at is None:
            self._utterance = utterance or self._utterance
            return
        self._first_audio(spoke_at)
        if RESPONSE in seconds:
            self._turn({**self._utterance, **seconds}, spoke_at)
        self._utterance = {}

    def _first_audio(self, at: float) -> None:
        """Write the span from the time at which job and human were both in the room."""
        job = self._job
        if job is not None and job.joined is not None and not job.heard:
            job.heard = True
            self._write(FIRST_AUDIO, job.joined if job.met is None or job.met > at else job.met, at)

    def _turn(self, seconds: Mapping[str, float], end: float) -> None:
        begin = end - seconds[RESPONSE]
        place = self._write(TURN, begin, end)
        at = begin
        for stage in HEARING:
            at = self._stage(place, stage, at, at + seconds.get(stage, 0.0))[1]
        at = end
        for stage in reversed(ANSWERING):
            at = self._stage(place, stage, max(at - seconds.get(stage, 0.0), begin), at)[0]

    def _stage(self, turn: SpanContext, stage: Stage, begin: float, end: float) -> tuple[float, float]:
        if end > begin:
            self._write(stage.value.replace("_", " "), begin, end, parent=turn)
        return begin, end

    def _write(
        self,
        name: str,
        begin: float,
        end: float,
        *,
        parent: SpanContext | None = None,
        error: str = "",
        attributes: Mapping[str, str | int] | None = None,
    ) -> SpanContext:
        below = self._parent if parent is None else parent
        return self._tracing.write(name, begin, end, parent=below, error=error, attributes=attributes)
