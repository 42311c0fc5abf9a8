"""What happens in a pod as spans of its session's trace: jobs, joins, the first audio, and every turn by stages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import SpanContext

from voicesession_agent.latency import RESPONSE, Stage
from voicesession_agent.memory.backend import MemoryCall, MemoryOutcome
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
"""The model may begin before the turn is known to be over, so that these are counted back from the first audio."""


@dataclass
class _Job:
    """Unix seconds; None while it has not happened."""

    begun: float
    taken: float | None = None
    joined: float | None = None
    met: float | None = None
    """A human was there, too."""
    heard: bool = False
    """Its first audio has left."""


class PodTraces:
    """Nothing is written before the pod is told of a trace that is kept."""

    def __init__(self, tracing: AgentTracing, clock: Callable[[], float]) -> None:
        self._tracing = tracing
        self._clock = clock
        self._parent: SpanContext = NO_SPAN
        self._about: Mapping[str, str | int] = {}
        self._job: _Job | None = None
        self._memory_loaded = False
        self._said: dict[str, float] = {}
        """Stages of what a human said last, until it is answered."""

    def on_desired_state(self, desired: DesiredState, *, anew: bool) -> None:
        """Of the session, or, where everything begins `anew`, of a reset."""
        self._parent = read_traceparent(desired.traceparent)
        self._about = {EPOCH: desired.epoch, CAUSE: desired.cause}
        self._memory_loaded = self._memory_loaded and not anew

    def job_starts(self) -> None:
        self._job = _Job(self._clock())
        self._said = {}

    def job_taken(self) -> None:
        """A process has it."""
        if self._job is not None:
            self._job.taken = self._clock()

    def joined(self) -> None:
        if self._job is not None and self._job.joined is None:
            self._job.joined = now = self._clock()
            place = self._write(JOB, self._job.begun, now, attributes=self._about)
            self._write(JOIN, self._job.taken or self._job.begun, now, parent=place)

    def job_ended(self) -> None:
        """Its time is over; one that never joined failed."""
        job, self._job = self._job, None
        if job is not None and job.joined is None:
            self._write(JOB, job.begun, self._clock(), error=NOT_JOINED, attributes=self._about)

    def met(self) -> None:
        """The job sees a human."""
        if self._job is not None and self._job.met is None:
            self._job.met = self._clock()

    def observe_memory_call(self, call: MemoryCall, outcome: MemoryOutcome, seconds: float) -> None:
        """Of all loads the first ones, until one succeeds: those that a person may notice."""
        if call is MemoryCall.LOAD and not self._memory_loaded:
            self._memory_loaded = outcome is MemoryOutcome.OK
            now, error = self._clock(), "" if outcome is MemoryOutcome.OK else outcome.value
            self._write(MEMORY_LOAD, now - seconds, now, error=error)

    def observe_response(self, seconds: Mapping[str, float], spoke_at: float | None) -> None:
        """Seconds of a message by Stage and RESPONSE; `spoke_at`: when its first audio left, if it is the agent's."""
        said = {stage.value: seconds[stage] for stage in HEARING if stage in seconds}
        if spoke_at is None:
            self._said = said or self._said
            return
        self._first_audio(spoke_at)
        if RESPONSE in seconds:
            self._turn({**self._said, **seconds}, spoke_at)
        self._said = {}

    def _first_audio(self, at: float) -> None:
        """From when the job and a human were both there."""
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
