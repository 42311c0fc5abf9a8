"""A reset inside this pod, as the control port tells it, and its deadlines: pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

OLD_JOB_SECONDS: Final = 3.0
"""What the old job gets from the start of the new one: it has to hand over one turn and close a session."""
JOIN_SECONDS: Final = 5.0
"""From a job's start to being in the room; it takes 0.2 to 0.5 s, several times that on a crowded node."""
TOTAL_SECONDS: Final = 10.0
"""After that the operator replaces this pod anyway."""


class Outcome(StrEnum):
    RUNNING = "Running"
    COMPLETE = "Complete"
    ESCALATED = "Escalated"
    """A job had to be killed for it and none has joined since."""


@dataclass
class Reset:
    epoch: int
    cause: str
    started_at: float
    milliseconds: int | None = None
    outcome: Outcome = Outcome.RUNNING

    @property
    def open(self) -> bool:
        """Whether no job of its epoch has joined yet."""
        return self.milliseconds is None

    def complete(self, now: float) -> None:
        self.milliseconds = round((now - self.started_at) * 1000)
        self.outcome = Outcome.COMPLETE

    def remaining(self, now: float) -> float:
        """Seconds until this pod gives up; 0 or less when that time has come."""
        return self.started_at + TOTAL_SECONDS - now

    def render(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "cause": self.cause,
            "milliseconds": self.milliseconds,
            "outcome": self.outcome.value,
        }
