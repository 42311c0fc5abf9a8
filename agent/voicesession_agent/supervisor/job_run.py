"""One run of a job: its events, the reason to stop it, restarts, and draining."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from voicesession_agent.health.diagnosis import Diagnosis, Heartbeat, proof_seconds
from voicesession_agent.supervisor.job_pool import Job
from voicesession_agent.supervisor.reset import JOB_TIMINGS, JobTimings, Reset

QUICK_SECONDS: Final = 10.0
"""A job with a shorter life counts as a quick failure."""
BUDGET: Final = 5
"""Quick failures within WINDOW_SECONDS after which the operator should replace the pod."""
WINDOW_SECONDS: Final = 60.0
DEATHS: Final = 10
"""Deaths of jobs of any age within DEATHS_SECONDS after which the pod cannot hold a conversation."""
DEATHS_SECONDS: Final = 600.0
FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 5.0
SUPERSEDED_DELAY_SECONDS: Final = 30.0
"""Longer than a replaced pod keeps running, so that two pods never disconnect each other in turns."""


class ExitCause(Enum):
    """Causes of a job's exit from its room."""

    DIED = "died"
    REFUSED = "refused"
    """The job could not join, or the room was closed; only a change outside the pod helps."""
    SUPERSEDED = "superseded"
    """A participant with the same identity joined: the pod that the operator created as a replacement."""


@dataclass
class RestartPolicy:
    """Restart delays: doubled after quick failures, none after a job that worked for a while."""

    _failures: deque[float] = field(default_factory=deque)
    _deaths: deque[float] = field(default_factory=deque)
    _refusals: int = 0

    def after(self, *, lived: float, end: ExitCause, now: float) -> float | None:
        """Return the seconds to wait before the next job, or None to give up. Only DIED counts against the budget."""
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
    """Add `now` and return the number of times within the last `seconds`."""
    times.append(now)
    while now - times[0] > seconds:
        times.popleft()
    return len(times)


def _doubled(count: int) -> float:
    return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(count - 1, 10)))


class StopReason(Enum):
    """Reasons to start another job; the first that applies counts."""

    DISMISSED = "dismissed"
    """A reset: the next job starts while this one is still running."""
    UNHEALTHY = "unhealthy"
    EXITED = "exited"
    LEFT = "left"
    """The job left its room; its process may still be running."""
    LATE = "late"
    """The job did not join in time for a reset."""


@dataclass
class JobRun:
    """One run of a job, from its launch until another job is needed. Times are those of the supervisor's timer."""

    launch: int
    started: float
    heartbeat: Heartbeat | None = None
    """Set once a process has accepted the job."""
    joined_at: float | None = None
    diagnosis: Diagnosis | None = None
    exited: bool = False
    left: bool = False
    end: ExitCause = ExitCause.DIED
    timings: JobTimings = JOB_TIMINGS

    def stop_reason(self, reset: Reset | None, dismissed: int, now: float) -> StopReason | None:
        """Return the reason to start another job, or None."""
        if self.launch <= dismissed:
            return StopReason.DISMISSED
        if self.diagnosis is not None:
            return StopReason.UNHEALTHY
        if self.exited:
            return StopReason.EXITED
        if self.left:
            return StopReason.LEFT
        time_to_join = self.time_to_join(reset, now)
        return StopReason.LATE if time_to_join is not None and time_to_join <= 0 else None

    def is_proven(self, last: Diagnosis | None, now: float) -> bool:
        """Return True if the job was in its room long enough to show the `last` problem again."""
        if last is None or self.joined_at is None:
            return False
        return now - self.joined_at >= proof_seconds(last.problem)

    def time_to_join(self, reset: Reset | None, now: float) -> float | None:
        """Return the seconds until the job is late, or None if no reset waits for it."""
        if self.joined_at is not None or reset is None or not reset.open:
            return None
        late_at = max(self.started, reset.started_at) + self.timings.join_seconds
        return min(late_at - now, reset.remaining(now, self.timings))


log = logging.getLogger(__name__)


@dataclass
class DrainingJob:
    """A job that is shutting down, with the seconds until it is killed."""

    launch: int
    job: Job
    seconds: float
    timeout: asyncio.Timeout | None = None

    def extend(self, seconds: float) -> None:
        """Give the job `seconds` from now, or from the start of its time."""
        self.seconds = seconds
        if self.timeout is not None and not self.timeout.expired():
            self.timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    async def drain(self) -> None:
        """Wait until the job has ended, or kill it at its deadline; then end the programs that it has started."""
        try:
            async with asyncio.timeout(self.seconds) as self.timeout:
                await self.job.ended()
        except TimeoutError:
            kill(self.launch, self.job, "it did not end in time")
        finally:
            self.timeout = None
        programs = self.job.end_programs()
        if programs:
            extra = {"event": "programs_killed", "launch": self.launch, "programs": programs}
            log.info("programs of an ended job were killed", extra=extra)


class DrainingJobs:
    """Jobs that are shutting down; each is killed at its deadline, with its programs.

    A job that answers its dismissal gets the time of its shutdown callbacks; a blocked job never answers.
    """

    def __init__(self, timings: JobTimings) -> None:
        self._timings = timings
        self._before_successor: list[DrainingJob] = []
        self._jobs: dict[asyncio.Task[None], DrainingJob] = {}
        self._answered: set[int] = set()

    def add(self, launch: int, job: Job, *, has_left: bool = False) -> None:
        """Add a job; one that `has_left` its room is ending by itself. Its time starts when its successor starts."""
        is_ending = has_left or launch in self._answered
        seconds = self._timings.end_seconds if is_ending else self._timings.old_job_seconds
        self._answered.discard(launch)
        self._before_successor.append(DrainingJob(launch, job, seconds))

    def answered(self, launch: int) -> None:
        """Record that the job has answered its dismissal, also before it is added."""
        found = next((job for job in (*self._before_successor, *self._jobs.values()) if job.launch == launch), None)
        if found is None:
            self._answered.add(launch)
        else:
            found.extend(self._timings.end_seconds)

    def successor_started(self) -> None:
        """Start the deadlines of the added jobs; also called if there is no successor."""
        for draining in self._before_successor:
            task = asyncio.create_task(draining.drain())
            self._jobs[task] = draining
            task.add_done_callback(self._jobs.pop)
        self._before_successor.clear()

    async def close(self) -> None:
        """Wait until every job has ended or was killed at its deadline."""
        self.successor_started()
        await asyncio.gather(*self._jobs, return_exceptions=True)


def kill(launch: int, job: Job, reason: str) -> None:
    """Kill the job and log the reason."""
    log.warning("job killed", extra={"event": "job_killed", "launch": launch, "pid": job.pid, "reason": reason})
    job.kill()
