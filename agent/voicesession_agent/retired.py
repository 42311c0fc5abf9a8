"""Jobs whose successor has been called for: they get a few seconds to hand over what they hold, then SIGKILL."""

import asyncio
import logging

from voicesession_agent.jobs import Job

log = logging.getLogger(__name__)


class Retired:
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
            watch = asyncio.create_task(_see_out(launch, job, seconds))
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


async def _see_out(launch: int, job: Job, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await job.ended()
    except TimeoutError:
        kill(launch, job, "it did not end in time")
