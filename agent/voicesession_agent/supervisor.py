"""One pod's life: prepare, be bound, keep a job in the room, end. Its I/O is behind its arguments."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from voicesession_agent.jobs import JobServer
from voicesession_agent.restart import End, RestartPolicy
from voicesession_agent.state import HumanLeft, PodState
from voicesession_agent.telemetry import Metrics
from voicesession_agent.wanted import MemoryAddress, Wanted

GONE_WITH_ROOM: Final = frozenset({"ROOM_DELETED", "ROOM_CLOSED", "SERVER_SHUTDOWN"})
DUPLICATE: Final = "DUPLICATE_IDENTITY"
log = logging.getLogger(__name__)


class GaveUpError(Exception):
    """Jobs die faster than they can be restarted: the pod must be replaced."""


class Supervisor:
    """Holds the state and keeps a job running while one is wanted."""

    def __init__(
        self,
        state: PodState,
        jobs: JobServer,
        metrics: Metrics,
        remember: Callable[[MemoryAddress | None, bool], None],
        clock: Callable[[], float],
    ) -> None:
        self.state = state
        self._jobs = jobs
        self._metrics = metrics
        self._remember = remember
        self._clock = clock
        self._restart = RestartPolicy()
        self._end = End.DIED
        self._gone = asyncio.Event()
        self._changed = asyncio.Condition()
        self._leave = asyncio.Event()

    async def tell(self, wanted: Wanted) -> None:
        """Move towards the wanted state; returns at once. Raise OtherSessionError."""
        first = self.state.wanted is None
        self.state.tell(wanted, self._clock())
        if first:
            log.info("bound", extra={"event": "bound", "session": wanted.session_uid, "room": wanted.room_name})
        self._remember(wanted.memory, wanted.capture)
        if self.state.ended:
            self._leave.set()
        await self._notify()

    async def prepared(self) -> None:
        """A process with its models loaded waits for a job."""
        first = self.state.prepared_at is None
        self.state.prepared(self._clock())
        if first:
            log.info("prepared", extra={"event": "prepared", "at": self.state.prepared_at})
        await self._notify()

    def cannot_prepare(self, text: str) -> None:
        """Something this pod cannot mend by itself."""
        if text != self.state.prepare_trouble:
            log.error("cannot serve", extra={"event": "trouble", "reason": text})
        self.state.prepare_trouble = text

    def job_troubled(self, launch: int, text: str) -> None:
        """A job could not do its work; the next one may."""
        if launch != self.state.launches:
            return
        if text != self.state.job_trouble:
            log.error("job in trouble", extra={"event": "job_trouble", "reason": text})
        self.state.job_trouble = text

    def joined(self, launch: int, sid: str) -> None:
        if launch != self.state.launches:
            return
        self._end = End.DIED
        self.state.job_joined(sid, self._clock())
        log.info("joined", extra={"event": "joined", "sid": sid, "launch": launch, "at": self._clock()})

    def refused(self, launch: int) -> None:
        """The job could not get into the room."""
        if launch == self.state.launches:
            self._end = End.REFUSED

    def gone(self, launch: int, reason: str) -> None:
        """The job is out of its room, for LiveKit's `reason`; its process may live on for a while."""
        if launch != self.state.launches:
            return
        if reason in GONE_WITH_ROOM:
            self._end = End.REFUSED
        elif reason == DUPLICATE:
            self._end = End.SUPERSEDED
        log.info("job left its room", extra={"event": "left", "launch": launch, "reason": reason})
        self._gone.set()

    def humans(self, launch: int, identities: tuple[str, ...]) -> None:
        if launch == self.state.launches:
            self.state.humans_are(identities)

    def human_left(self, launch: int, left: HumanLeft) -> None:
        if launch == self.state.launches:
            self.state.human_left(left)

    async def leave_wanted(self) -> None:
        """Return once the job shall leave its room."""
        await self._leave.wait()

    async def run(self) -> None:
        """Keep a job in the room while one is wanted. Raise GaveUpError when jobs keep dying."""
        while True:
            await self._until(self._job_wanted)
            await self._one_job()

    async def close(self) -> None:
        """Leave the room at once and end everything."""
        self._leave.set()
        await self._jobs.close()

    async def _one_job(self) -> None:
        wanted = self.state.wanted
        if wanted is None:
            return
        started, self._end = self._clock(), End.DIED
        self._gone.clear()
        launch = self.state.job_starts()
        self._metrics.launches.inc()
        log.info("job starts", extra={"event": "job_starts", "launch": launch, "epoch": wanted.epoch})
        try:
            await self._jobs.launch(wanted.room_name, wanted.room_url, wanted.token)
            replaced = await self._ended_or_replaced(wanted.epoch)
        except Exception:
            log.exception("no process took the job", extra={"event": "launch_failed", "launch": launch})
            replaced = False
        if replaced:
            return
        self.state.job_exited()
        lived = self._clock() - started
        log.info("job ended", extra={"event": "job_ended", "launch": launch, "lived": round(lived, 3)})
        if not self.state.ended:
            await self._pause(lived, wanted.epoch)

    async def _ended_or_replaced(self, epoch: int) -> bool:
        """Wait for the job's end; answer True when a higher epoch came first (the next job then puts this one out)."""
        ended = asyncio.create_task(self._jobs.ended())
        gone = asyncio.create_task(self._gone.wait())
        newer = asyncio.create_task(self._until(lambda: self._epoch() > epoch))
        tasks = (ended, gone, newer)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return newer.done() and not (ended.done() or gone.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pause(self, lived: float, epoch: int) -> None:
        delay = self._restart.after(lived=lived, end=self._end, now=self._clock())
        if delay is None:
            raise GaveUpError
        log.warning("job will be restarted", extra={"event": "job_restarts", "delay": delay})
        try:
            await asyncio.wait_for(self._until(lambda: self.state.ended or self._epoch() > epoch), delay)
        except TimeoutError:
            return

    def _job_wanted(self) -> bool:
        return self.state.wanted is not None and self.state.ready

    def _epoch(self) -> int:
        return self.state.wanted.epoch if self.state.wanted else 0

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
