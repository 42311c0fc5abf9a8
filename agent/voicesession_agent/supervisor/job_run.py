"""One job's time as the pod's job: what has happened in it, and from that whether it is over. Pure."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from voicesession_agent.health.diagnosis import Diagnosis, Heartbeat
from voicesession_agent.supervisor.job_pool import Job
from voicesession_agent.supervisor.reset import JOIN_SECONDS, Reset

QUICK_SECONDS: Final = 10.0
"""A job that lived shorter counts as a quick failure."""
BUDGET: Final = 5
"""Quick failures within WINDOW_SECONDS after which a fresh pod is the better cure."""
WINDOW_SECONDS: Final = 60.0
DEATHS: Final = 10
"""Of jobs that lived for however long, within DEATHS_SECONDS: in this pod none lives long enough for a conversation."""
DEATHS_SECONDS: Final = 600.0
FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 5.0
SUPERSEDED_DELAY_SECONDS: Final = 30.0
"""Longer than a replaced pod lives on, so that two pods never put each other out of the room in turns."""


class ExitCause(Enum):
    """Why a job is no longer in its room."""

    DIED = "died"
    REFUSED = "refused"
    """It could not get in, or the room went away: that heals only outside this pod."""
    SUPERSEDED = "superseded"
    """Somebody else came with the same identity: the pod that the operator has put in this one's place."""


@dataclass
class RestartPolicy:
    """Doubling delays after quick failures, none after a job that had worked for a while."""

    _failures: deque[float] = field(default_factory=deque)
    _deaths: deque[float] = field(default_factory=deque)
    _refusals: int = 0

    def after(self, *, lived: float, end: ExitCause, now: float) -> float | None:
        """Answer the seconds to wait before the next job, or None to give up; only DIED uses up the budget."""
        if end is ExitCause.SUPERSEDED:
            return SUPERSEDED_DELAY_SECONDS
        if end is ExitCause.REFUSED:
            self._refusals += 1
            return _doubled(self._refusals)
        self._refusals = 0
        if _count(self._deaths, now, DEATHS_SECONDS) >= DEATHS:
            return None
        if lived >= QUICK_SECONDS:
            return 0.0
        failures = _count(self._failures, now, WINDOW_SECONDS)
        if failures >= BUDGET:
            return None
        return 0.0 if failures == 1 else _doubled(failures - 1)


def _count(times: deque[float], now: float, seconds: float) -> int:
    """Add `now` and answer how many there are of the last `seconds`."""
    times.append(now)
    while now - times[0] > seconds:
        times.popleft()
    return len(times)


def _doubled(count: int) -> float:
    return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(count - 1, 10)))


class StopReason(Enum):
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
class JobRun:
    launch: int
    started: float
    heartbeat: Heartbeat | None = None
    """Listened to from when a process has taken the job."""
    joined_at: float | None = None
    diagnosis: Diagnosis | None = None
    exited: bool = False
    left: bool = False
    end: ExitCause = ExitCause.DIED

    def over(self, reset: Reset | None, dismissed: int, now: float) -> StopReason | None:
        if self.launch <= dismissed:
            return StopReason.DISMISSED
        if self.diagnosis is not None:
            return StopReason.ILL
        if self.exited:
            return StopReason.EXITED
        if self.left:
            return StopReason.LEFT
        time_to_join = self.time_to_join(reset, now)
        return StopReason.LATE if time_to_join is not None and time_to_join <= 0 else None

    def time_to_join(self, reset: Reset | None, now: float) -> float | None:
        """Seconds until this job is late; None when nothing waits for it."""
        if self.joined_at is not None or reset is None or not reset.open:
            return None
        return min(max(self.started, reset.started_at) + JOIN_SECONDS - now, reset.remaining(now))


log = logging.getLogger(__name__)


class DrainingJobs:
    """Owns the waiting for each job's end."""

    def __init__(self) -> None:
        self._before_successor: list[tuple[int, Job, float]] = []
        self._watches: set[asyncio.Task[None]] = set()

    def add(self, launch: int, job: Job, seconds: float) -> None:
        """See `job` out; its `seconds` begin with its successor's start."""
        self._before_successor.append((launch, job, seconds))

    def successor_started(self) -> None:
        """Or there will be none: the clocks of those who wait run from now on."""
        for launch, job, seconds in self._before_successor:
            watch = asyncio.create_task(_drain(launch, job, seconds))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)
        self._before_successor.clear()

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)


def kill(launch: int, job: Job, reason: str) -> None:
    log.warning("job killed", extra={"event": "job_killed", "launch": launch, "pid": job.pid, "reason": reason})
    job.kill()


async def _drain(launch: int, job: Job, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await job.ended()
    except TimeoutError:
        kill(launch, job, "it did not end in time")
