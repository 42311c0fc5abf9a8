"""From a job's health report to its problem; a cause takes precedence over its symptoms."""

from collections import deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from voicesession_agent.health.probes import Ticks, is_deaf, is_disconnected, is_mute


class Problem(StrEnum):
    """A job's problem: `health.state` of the control port, and the label values of the health metrics."""

    STUCK = "Stuck"
    DEAF = "Deaf"
    MUTE = "Mute"
    PROVIDER_FAILING = "ProviderFailing"
    DISCONNECTED = "Disconnected"


MESSAGE_CHARACTERS: Final = 256
"""Longest message that a job can cause in the pod's state."""


@dataclass(frozen=True)
class HealthReport:
    """The job's own measurements: `unheard`, `inaudible` and `lost` are seconds of the probes."""

    speaking: bool = False
    """True while a human (by voice detection, if the session has one) or the agent speaks."""
    unheard: float = 0.0
    inaudible: float = 0.0
    muted: bool = False
    lost: float = 0.0
    failing: str = ""
    """The failing role (stt, llm or tts) with its provider, cause and number of failed turns."""
    broken: bool = False
    """True if the session no longer uses the failing provider, so that only another job can."""
    failed: bool = False
    """True after a failed turn until the role succeeds again: too little for `failing`, too much for health."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "HealthReport":
        """Parse a report; raise KeyError, TypeError or ValueError for a missing or malformed field."""
        return cls(
            speaking=bool(raw["speaking"]),
            unheard=float(raw["unheard"]),
            inaudible=float(raw["inaudible"]),
            muted=bool(raw["muted"]),
            lost=float(raw["lost"]),
            failing=str(raw["failing"])[:MESSAGE_CHARACTERS],
            broken=bool(raw["broken"]),
            failed=bool(raw["failed"]),
        )


BASIC_PROOF_SECONDS: Final = 5.0
"""A job without a problem for this long is neither stuck nor disconnected."""
SPEECH_PROOF_SECONDS: Final = 15.0
"""For problems that need speech to show; longer than the operator's longest poll interval (12 s)."""


@dataclass(frozen=True)
class Diagnosis:
    """A problem with its message for humans."""

    problem: Problem
    message: str
    is_curable: bool = True
    """False for the failure of a provider: another job has the same one, so the conversation stays with its job."""


STUCK: Final = Diagnosis(Problem.STUCK, "the job does not respond")


def diagnose(report: HealthReport) -> Diagnosis | None:
    """Return the problem that the report shows, or None."""
    if is_disconnected(report.lost):
        return Diagnosis(
            Problem.DISCONNECTED, "LiveKit answers, but the agent does not get its connection to the room back"
        )
    if report.failing and report.broken:
        return Diagnosis(Problem.PROVIDER_FAILING, report.failing)
    if is_mute(report.inaudible, report.muted):
        return Diagnosis(Problem.MUTE, "the agent speaks and nobody can hear it")
    if report.failing:
        return Diagnosis(Problem.PROVIDER_FAILING, report.failing, is_curable=False)
    if is_deaf(report.unheard):
        return Diagnosis(Problem.DEAF, "a human speaks and the agent hears nothing")
    return None


def proof_seconds(problem: Problem) -> float:
    """Return the seconds that the next job must run without a problem before it counts as healthy."""
    return BASIC_PROOF_SECONDS if problem in (Problem.STUCK, Problem.DISCONNECTED) else SPEECH_PROOF_SECONDS


BUDGET: Final = 3
WINDOW_SECONDS: Final = 600.0


class HealthRestarts:
    """The budget for new jobs that health problems start."""

    def __init__(self) -> None:
        self._started: deque[float] = deque()
        self._was_deaf = False

    def can_help(self, diagnosis: Diagnosis) -> bool:
        """Return whether another job may solve the problem; otherwise the job keeps its conversation.

        Sounds that only voice detection takes for speech make every job look deaf, so a pod restarts one deaf job.
        """
        return diagnosis.is_curable and not (diagnosis.problem is Problem.DEAF and self._was_deaf)

    def take(self, diagnosis: Diagnosis, now: float) -> bool:
        """Use one restart; return False if the last ten minutes used up the budget, so that only a new pod can help."""
        self._was_deaf = self._was_deaf or diagnosis.problem is Problem.DEAF
        while self._started and now - self._started[0] > WINDOW_SECONDS:
            self._started.popleft()
        if len(self._started) >= BUDGET:
            return False
        self._started.append(now)
        return True


BEAT_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 5.0


class Heartbeat:
    """Counts the seconds since the last heartbeat while the supervisor itself runs; call `tick` once a second."""

    def __init__(self, now: float) -> None:
        self._silence = 0.0
        self._ticks = Ticks()
        self._ticks.tick(now)

    def beat(self) -> None:
        """Take a heartbeat of the job."""
        self._silence = 0.0

    def tick(self, now: float) -> None:
        """Count the time since the last tick."""
        self._silence += self._ticks.tick(now)

    @property
    def stuck(self) -> bool:
        """Return whether heartbeats have been missing for too long."""
        return self._silence > STUCK_SECONDS
