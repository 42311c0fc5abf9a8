"""A reset inside the pod, as the control port returns it, and the deadlines of jobs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from voicesession_agent.health.diagnosis import BEAT_SECONDS
from voicesession_agent.protocol import BACKGROUND_SECONDS

OLD_JOB_SECONDS: Final = 3.0
"""Time for the old job to answer its dismissal after the new one has started. A blocked job never answers."""
SHUTDOWN_SECONDS: Final = 10.0
"""Built-in value of the VoiceAgent's `pod.shutdownSeconds`: the time of a job's shutdown callbacks."""
JOIN_SECONDS: Final = 5.0
"""Time from a job's start to its join: 0.2 to 0.5 s, several times that on a busy node."""
END_MARGIN_SECONDS: Final = 0.5
TOTAL_SECONDS: Final = 10.0
"""Time of a reset with a prewarmed job. The operator replaces the pod after this time."""
COLD_TOTAL_SECONDS: Final = 30.0
"""The same without one: the models load first, 3 to 4 s on idle cores."""


@dataclass(frozen=True)
class JobTimings:
    """Times of jobs and resets, in seconds."""

    old_job_seconds: float = OLD_JOB_SECONDS
    shutdown_seconds: float = SHUTDOWN_SECONDS
    join_seconds: float = JOIN_SECONDS
    total_seconds: float = TOTAL_SECONDS
    cold_total_seconds: float = COLD_TOTAL_SECONDS
    beat_seconds: float = BEAT_SECONDS
    """Time between two checks for missing heartbeats."""

    @property
    def end_seconds(self) -> float:
        """Return the time for a job that ends by itself: slightly more than it takes (job/shutdown.py)."""
        return BACKGROUND_SECONDS + self.shutdown_seconds + END_MARGIN_SECONDS


JOB_TIMINGS: Final = JobTimings()


class Outcome(StrEnum):
    """Outcome of a reset in the pod."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    ESCALATED = "Escalated"
    """A job was killed for this reset, and no job has joined since."""


@dataclass
class Reset:
    """One reset, by the supervisor's timer; `milliseconds` is its duration once it is complete."""

    epoch: int
    cause: str
    started_at: float
    is_prewarmed: bool = True
    """A prewarmed job waits for it."""
    milliseconds: int | None = None
    outcome: Outcome = Outcome.RUNNING

    @property
    def open(self) -> bool:
        """Return True until a job of the reset's epoch joins."""
        return self.milliseconds is None

    def complete(self, now: float) -> None:
        """Record the join that completes the reset."""
        self.milliseconds = round((now - self.started_at) * 1000)
        self.outcome = Outcome.COMPLETE

    def remaining(self, now: float, timings: JobTimings) -> float:
        """Return the seconds until the pod gives up; 0 or less means now."""
        return self.started_at + (timings.total_seconds if self.is_prewarmed else timings.cold_total_seconds) - now

    def render(self) -> dict[str, Any]:
        """Return the JSON of the control port."""
        return {
            "epoch": self.epoch,
            "cause": self.cause,
            "milliseconds": self.milliseconds,
            "outcome": self.outcome.value,
        }
