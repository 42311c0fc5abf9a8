"""From a job's vitals to what is wrong with it, the cause before its symptoms."""

from collections import deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from voicesession_agent.health.probes import is_deaf, is_disconnected, is_mute


class Problem(StrEnum):
    """What is wrong with a job: `health.state` of the control port, and the bounded label values of its metrics."""

    STUCK = "Stuck"
    DEAF = "Deaf"
    MUTE = "Mute"
    PROVIDER_FAILING = "ProviderFailing"
    DISCONNECTED = "Disconnected"


@dataclass(frozen=True)
class HealthReport:
    """`unheard`, `inaudible` and `lost` in seconds (see the probes); `failing` names a role only: stt, llm or tts."""

    speaking: bool = False
    """Whether a human (as LiveKit hears it) or the agent is speaking right now."""
    unheard: float = 0.0
    inaudible: float = 0.0
    muted: bool = False
    lost: float = 0.0
    failing: str = ""
    failed: bool = False
    """Whether something failed in a turn and has not worked since: too little for `failing`, too much for health."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "HealthReport":
        """Raise KeyError, TypeError or ValueError when a field is missing or of no use."""
        return cls(
            speaking=bool(raw["speaking"]),
            unheard=float(raw["unheard"]),
            inaudible=float(raw["inaudible"]),
            muted=bool(raw["muted"]),
            lost=float(raw["lost"]),
            failing=str(raw["failing"]),
            failed=bool(raw["failed"]),
        )


WORKS_SECONDS: Final = 5.0
"""A job that is not found ill for so long is neither stuck nor disconnected."""
PROVED_SECONDS: Final = 15.0
"""For what shows only when somebody speaks; more than the longest time (12 s) between two looks of the operator."""


@dataclass(frozen=True)
class Diagnosis:
    problem: Problem
    message: str


def diagnose(vitals: HealthReport) -> Diagnosis | None:
    if is_disconnected(vitals.lost):
        return Diagnosis(Problem.DISCONNECTED, "the connection to the room was lost")
    if vitals.failing:
        return Diagnosis(Problem.PROVIDER_FAILING, vitals.failing)
    if is_mute(vitals.inaudible, vitals.muted):
        return Diagnosis(Problem.MUTE, "the agent speaks and nobody can hear it")
    if is_deaf(vitals.unheard):
        return Diagnosis(Problem.DEAF, "a human speaks and the agent hears nothing")
    return None


def works_after(problem: Problem) -> float:
    """Seconds in its room after which the next job counts as well."""
    return WORKS_SECONDS if problem in (Problem.STUCK, Problem.DISCONNECTED) else PROVED_SECONDS


STUCK = Diagnosis(Problem.STUCK, "the job does not respond")


BUDGET: Final = 3
WINDOW_SECONDS: Final = 600.0


class HealthRestarts:
    def __init__(self) -> None:
        self._taken: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Answer False when the budget of the last ten minutes is used up: only a fresh pod can help."""
        while self._taken and now - self._taken[0] > WINDOW_SECONDS:
            self._taken.popleft()
        if len(self._taken) >= BUDGET:
            return False
        self._taken.append(now)
        return True


BEAT_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 5.0
LONGEST_TICK_SECONDS: Final = 2.0
"""A pause of the supervisor itself (a frozen node, no CPU) is no silence of the job: it counts as this much."""


class Heartbeat:
    """Seconds of silence, as far as the supervisor was awake to listen; `tick` is called about once a second."""

    def __init__(self, now: float) -> None:
        self._silence = 0.0
        self._ticked = now

    def beat(self) -> None:
        self._silence = 0.0

    def tick(self, now: float) -> None:
        self._silence += min(max(0.0, now - self._ticked), LONGEST_TICK_SECONDS)
        self._ticked = now

    @property
    def stuck(self) -> bool:
        return self._silence > STUCK_SECONDS
