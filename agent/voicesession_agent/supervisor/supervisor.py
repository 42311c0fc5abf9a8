"""One pod's life: prepare, be bound, keep a job in the room, end. Its I/O is behind its arguments."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from voicesession_agent.health.diagnosis import BEAT_SECONDS, STUCK, Diagnosis, HealthRestarts, Heartbeat, proof_seconds
from voicesession_agent.metrics import Metrics
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.job_pool import Job, JobLaunch, JobPool
from voicesession_agent.supervisor.job_run import DrainingJobs, ExitCause, JobRun, RestartPolicy, StopReason, kill
from voicesession_agent.supervisor.pod_state import PodState
from voicesession_agent.supervisor.pod_traces import PodTraces
from voicesession_agent.supervisor.reset import OLD_JOB_SECONDS

LINGER_SECONDS: Final = 11.0
"""For a job that left its room by itself: one second more than it gives itself (see departure.py)."""
log = logging.getLogger(__name__)


class GaveUpError(Exception):
    """Another job would not help: the pod must be replaced."""


class Memory(Protocol):
    """What the supervisor tells the keeper of the memory."""

    def apply(self, desired: DesiredState) -> None: ...

    def reload(self) -> None: ...


class Supervisor:
    """Holds the state and keeps a job running while one is wanted.

    `published` is told of what changes without an order or a report: that a job died, or was found ill.
    """

    def __init__(
        self,
        state: PodState,
        jobs: JobPool,
        metrics: Metrics,
        memory: Memory,
        clock: Callable[[], float],
        traces: PodTraces,
        notify: Callable[[], None],
    ) -> None:
        self.state = state
        self.traces = traces
        self._jobs = jobs
        self._metrics = metrics
        self._memory = memory
        self._clock = clock
        self._notify_change = notify
        self._restart = RestartPolicy()
        self._health_restarts = HealthRestarts()
        self._retired = DrainingJobs()
        self._tenure: JobRun | None = None
        self._changed = asyncio.Event()
        """Only the loop of `run` waits for it, and it looks at everything anew."""
        self._departures = asyncio.Condition()

    async def set_desired_state(self, desired: DesiredState) -> None:
        """Move towards the wanted state; returns at once. Raise OtherSessionError.

        An order of an earlier epoch, by an operator that is behind, changes nothing.
        """
        first, left, now = self.state.desired is None, self.state.last_human_left, self._clock()
        reset = self.state.set_desired_state(desired, now)
        if self.state.desired is not desired:
            return
        if first:
            log.info("bound", extra={"event": "bound", "session": desired.session_uid, "room": desired.room_name})
        self.traces.on_desired_state(desired, is_reset=reset)
        self._memory.apply(desired)
        if reset:
            extra = {"event": "reset_started", "epoch": desired.epoch, "cause": desired.cause}
            log.info("reset started", extra=extra | {"ms": 0 if left is None else left.ago(now)})
            self._memory.reload()
        await self._notify()

    async def prepared(self) -> None:
        """A process with its models loaded waits for a job."""
        first = self.state.prepared_at is None
        self.state.prepared(self._clock())
        if first:
            log.info("prepared", extra={"event": "prepared", "at": self.state.prepared_at})
        await self._notify()

    def joined(self, launch: int, sid: str) -> None:
        """A report whose answer was lost is sent again: the second one is no news."""
        job_run = self._current(launch)
        if job_run is None or (job_run.joined_at is not None and sid == self.state.participant_sid):
            return
        now = job_run.joined_at = self._clock()
        job_run.end = ExitCause.DIED
        reset = self.state.job_joined(sid, now)
        self.traces.joined()
        log.info("joined", extra={"event": "joined", "sid": sid, "launch": launch, "at": now})
        if reset is not None:
            extra = {"event": "reset_complete", "epoch": reset.epoch, "cause": reset.cause, "ms": reset.milliseconds}
            log.info("reset complete", extra=extra)
            self._metrics.reset_seconds.observe((reset.milliseconds or 0) / 1000)
        self._jobs.prepare_next()

    def out_of_room(self, launch: int, end: ExitCause, *, left: bool) -> None:
        """The job could not get in, or `left` again; its process may live on for a while."""
        job_run = self._current(launch)
        if job_run is not None:
            job_run.end, job_run.left = end, job_run.left or left
            self._changed.set()

    def beat(self, launch: int, diagnosis: Diagnosis | None, *, failed: bool) -> None:
        """The job responds, and this is what is wrong with it, or it has `failed` since it last did its work."""
        job_run = self._current(launch)
        if job_run is None:
            return
        if job_run.heartbeat is not None:
            job_run.heartbeat.beat()
        if diagnosis is not None:
            self._found(job_run, diagnosis)
        elif not failed and self._works(job_run):
            self.state.diagnosis = None

    async def wait_until_dismissed(self, launch: int) -> str:
        """Return once this job shall go: `leave` when none follows, `reset` when another takes its place."""
        state = self.state
        async with self._departures:
            await self._departures.wait_for(lambda: state.ended or not state.accepts(launch))
        return "leave" if state.ended else "reset"

    async def run(self) -> None:
        """Keep a job in the room while one is wanted. Raise GaveUpError when that does not help."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                await self._until(lambda: self.state.job_required)
                await self._one_job()
                if self.state.ended:
                    self.state.job_exited()
                    self._retired.successor_started()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def close(self) -> None:
        """Leave the room at once and end everything."""
        self.state.ended = True
        await self._notify()
        await self._jobs.close()
        await self._retired.close()

    async def _one_job(self) -> None:
        """From a launch until the pod needs another job."""
        reset = self.state.reset
        if reset is not None and reset.open and reset.remaining(self._clock()) <= 0:
            self.state.reset_escalates()
            raise GaveUpError
        self._tenure = job_run = JobRun(self.state.job_starts(), self._clock())
        await self._notify()
        job = await self._launched(job_run)
        self._retired.successor_started()
        over = StopReason.EXITED if job is None else await self._over(job_run, job)
        self._tenure = None
        self.traces.job_ended()
        self._jobs.prepare_next()
        if job is not None:
            self._dispose(job_run, job, over)
        if over in (StopReason.EXITED, StopReason.LEFT):
            await self._ended(job_run)

    async def _launched(self, job_run: JobRun) -> Job | None:
        """The job once a process has taken it, or None."""
        desired, reset = self.state.desired, self.state.reset
        if desired is None:
            return None
        self._metrics.launches.inc()
        self.traces.job_starts()
        log.info("job starts", extra={"event": "job_starts", "launch": job_run.launch, "epoch": desired.epoch})
        order = JobLaunch(job_run.launch, desired.room_name, desired.room_url, desired.token, desired.identity)
        limit = reset.remaining(job_run.started) if reset is not None and reset.open else None
        try:
            async with asyncio.timeout(limit):
                job = await self._jobs.launch(order)
        except Exception:
            log.exception("no process took the job", extra={"event": "launch_failed", "launch": job_run.launch})
            return None
        self.traces.job_taken()
        job_run.started = self._clock()
        job_run.heartbeat = Heartbeat(job_run.started)
        return job

    async def _over(self, job_run: JobRun, job: Job) -> StopReason:
        """Wait until the pod needs another job, and answer why."""
        ended = asyncio.create_task(job.ended())
        ended.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                job_run.exited = ended.done()
                over = job_run.over(self.state.reset, self.state.dismissed, self._clock())
                if over is not None:
                    return over
                await self._change(job_run.time_to_join(self.state.reset, self._clock()))
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    def _dispose(self, job_run: JobRun, job: Job, over: StopReason) -> None:
        if over is StopReason.LATE:
            self.state.reset_escalates()
            self.state.dismiss()
            kill(job_run.launch, job, "it did not join in time")
        elif over is StopReason.ILL and job_run.diagnosis is not None:
            self._restart_for_health(job_run.diagnosis)
            self.state.dismiss()
            if job_run.diagnosis is STUCK:
                kill(job_run.launch, job, job_run.diagnosis.message)
        elif over is StopReason.DISMISSED and job_run.joined_at is None:
            kill(job_run.launch, job, "its join would put its successor out")
        self._retired.add(job_run.launch, job, LINGER_SECONDS if over is StopReason.LEFT else OLD_JOB_SECONDS)

    def _restart_for_health(self, diagnosis: Diagnosis) -> None:
        if not self._health_restarts.take(self._clock()):
            raise GaveUpError
        self.state.health_restarts += 1
        self._metrics.health_restarts.labels(diagnosis.problem.value).inc()

    async def _ended(self, job_run: JobRun) -> None:
        self.state.job_exited()
        self._notify_change()
        lived = self._clock() - job_run.started
        log.info("job ended", extra={"event": "job_ended", "launch": job_run.launch, "lived": round(lived, 3)})
        if self.state.ended:
            return
        delay = self._restart.after(lived=lived, end=job_run.end, now=self._clock())
        if delay is None:
            raise GaveUpError
        log.warning("job will be restarted", extra={"event": "job_restarts", "delay": delay})
        epoch = self.state.desired_epoch
        try:
            async with asyncio.timeout(delay):
                await self._until(lambda: self.state.ended or self.state.desired_epoch > epoch)
        except TimeoutError:
            return

    async def _listen(self) -> None:
        """Find a job stuck that sends no beat."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            job_run = self._tenure
            if job_run is not None and job_run.heartbeat is not None:
                job_run.heartbeat.tick(self._clock())
                if job_run.heartbeat.stuck:
                    self._found(job_run, STUCK)

    def _found(self, job_run: JobRun, diagnosis: Diagnosis) -> None:
        if job_run.diagnosis is not None or self.state.ended:
            return
        job_run.diagnosis = self.state.diagnosis = diagnosis
        extra = {"event": "job_ill", "launch": job_run.launch, "state": diagnosis.problem.value}
        log.error("something is wrong with the job", extra=extra | {"reason": diagnosis.message})
        self._notify_change()
        self._changed.set()

    def _works(self, job_run: JobRun) -> bool:
        """Whether it has been in its room for long enough to have what the last one had."""
        last = self.state.diagnosis
        if last is None or job_run.joined_at is None:
            return False
        return self._clock() - job_run.joined_at >= proof_seconds(last.problem)

    def _current(self, launch: int) -> JobRun | None:
        """The tenure of now, if that job's reports are about the present."""
        return self._tenure if self.state.accepts(launch) else None

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._change(None)

    async def _change(self, seconds: float | None) -> None:
        """Wait for a change, at most so long. (`wait_for` of Python 3.11 can swallow a cancellation.)"""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _notify(self) -> None:
        self._changed.set()
        async with self._departures:
            self._departures.notify_all()
