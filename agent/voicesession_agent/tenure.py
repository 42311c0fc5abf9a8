"""One job's time as the pod's job: what has happened in it, and from that whether it is over. Pure."""

from dataclasses import dataclass
from enum import Enum

from voicesession_agent.health.diagnosis import Diagnosis
from voicesession_agent.health.stuck import Pulse
from voicesession_agent.reset import JOIN_SECONDS, Reset
from voicesession_agent.restart import End


class Over(Enum):
    """Why the pod needs another job; the first that holds counts."""

    DISMISSED = "dismissed"
    """A reset: the next job starts while this one still goes."""
    ILL = "ill"
    EXITED = "exited"
    LEFT = "left"
    """Out of its room, though its process may live on for a while."""
    LATE = "late"
    """A reset waits for it, and it does not get into its room."""


@dataclass
class Tenure:
    launch: int
    started: float
    pulse: Pulse | None = None
    """Listened to from when a process has taken the job."""
    joined_at: float | None = None
    diagnosis: Diagnosis | None = None
    exited: bool = False
    left: bool = False
    end: End = End.DIED

    def over(self, reset: Reset | None, dismissed: int, now: float) -> Over | None:
        if self.launch <= dismissed:
            return Over.DISMISSED
        if self.diagnosis is not None:
            return Over.ILL
        if self.exited:
            return Over.EXITED
        if self.left:
            return Over.LEFT
        patience = self.patience(reset, now)
        return Over.LATE if patience is not None and patience <= 0 else None

    def patience(self, reset: Reset | None, now: float) -> float | None:
        """Seconds until this job is late; None when nothing waits for it."""
        if self.joined_at is not None or reset is None or not reset.open:
            return None
        return min(max(self.started, reset.started_at) + JOIN_SECONDS - now, reset.remaining(now))
