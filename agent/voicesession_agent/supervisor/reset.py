"""A reset inside the pod, as the control port returns it, and its deadlines."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

OLD_JOB_SECONDS: Final = 3.0
"""Time for the old job after the new one starts: it delivers one turn and closes a session."""
JOIN_SECONDS: Final = 5.0
"""Time from a job's start to its join: 0.2 to 0.5 s, several times that on a busy node."""
TOTAL_SECONDS: Final = 10.0
"""The operator replaces the pod after this time."""


class Outcome(StrEnum):
    """Outcome of a reset in the pod."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    ESCALATED = "Escalated"
    """A job was killed for this reset, and no job has joined since."""


@dataclass
class Reset:
    """One reset; `milliseconds` is its duration once it is complete."""

    epoch: int
    cause: str
    started_at: float
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

    def remaining(self, now: float) -> float:
        """Return the seconds until the pod gives up; 0 or less means now."""
        return self.started_at + TOTAL_SECONDS - now

    def render(self) -> dict[str, Any]:
        """Return the JSON of the control port."""
        return {
            "epoch": self.epoch,
            "cause": self.cause,
            "milliseconds": self.milliseconds,
            "outcome": self.outcome.value,
        }
