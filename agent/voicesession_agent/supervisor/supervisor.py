"""The life of one pod: prepare, bind, keep a job in the room, end. All I/O is behind the constructor's arguments."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from voicesession_agent.health.diagnosis import STUCK, Diagnosis, HealthRestarts, Heartbeat
from voicesession_agent.metrics import Metrics
from voicesession_agent.protocol import Dismissal
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.job_pool import Job, JobPool
from voicesession_agent.supervisor.job_run import DrainingJobs, ExitCause, JobRun, RestartPolicy, StopReason, kill
from voicesession_agent.supervisor.pod_state import PodState
from voicesession_agent.supervisor.pod_traces import PodTraces
from voicesession_agent.supervisor.reset import JOB_TIMINGS, JobTimings

log = logging.getLogger(__name__)


class GaveUpError(Exception):
    """Another job cannot help; the operator must replace the pod."""


class Memory(Protocol):
    """The part of MemorySync that the supervisor uses."""

    def apply(self, desired: DesiredState) -> None: ...

    def reload(self) -> None: ...


class Supervisor:
    """Holds the pod's state and keeps a job running while the desired state requires one.

    `notify` is called for changes without a request or a report: a job that died or is unhealthy. All durations are
    measured by `timer`, because the node's clock may be set while a job runs.
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
        timings: JobTimings = JOB_TIMINGS,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state, self.traces = state, traces
        self._jobs, self._metrics, self._memory = jobs, metrics, memory
        self._clock, self._timer = clock, timer
        self._notify_change = notify
        self._timings = timings
        self._restart, self._health_restarts = RestartPolicy(), HealthRestarts()
        self._draining = DrainingJobs(timings)
        self._job_run: JobRun | None = None
        self._changed = asyncio.Event()
        """Only the loop of `run` waits for this event; it then checks the whole state."""
        self._dismissals = asyncio.Condition()

    async def set_desired_state(self, desired: DesiredState) -> None:
        """Accept the desired state, unless its epoch is outdated, and return at once. Raises OtherSessionError."""
        first, left, now = self.state.desired is None, self.state.last_human_left, self._clock()
        reset = self.state.set_desired_state(desired, now, self._timer())
        if self.state.desired is not desired:
            return
        if first:
            log.info("bound", extra={"event": "bound", "session": desired.session_uid, "room": desired.room_name})
        self.traces.on_desired_state(desired, is_reset=reset)
        self._memory.apply(desired)
        if reset:
            extra = {"event": "reset_started", "epoch": desired.epoch, "cause": desired.cause}
            log.info("reset started", extra=extra | {"ms": 0 if left is None else left.elapsed_ms(now)})
            self._memory.reload()
        await self._notify()

    async def prepared(self, runners: Sequence[str] = ()) -> None:
        """Record that a process waits for a job with its models loaded and these inference runners registered."""
        if self.state.prepared(self._clock()):
            log.info("prepared", extra={"event": "prepared", "at": self.state.prepared_at})
        self._jobs.serve_inference(runners)
        await self._notify()

    def joined(self, launch: int, sid: str) -> None:
        """Record that the job joined. A job repeats a report whose response was lost; repetitions are ignored."""
        job_run = self._current(launch)
        if job_run is None or (job_run.joined_at is not None and sid == self.state.participant_sid):
            return
        now, job_run.joined_at = self._clock(), self._timer()
        job_run.end = ExitCause.DIED
        reset = self.state.job_joined(sid, now, job_run.joined_at)
        self.traces.joined()
        log.info("joined", extra={"event": "joined", "sid": sid, "launch": launch, "at": now})
        if reset is not None:
            extra = {"event": "reset_complete", "epoch": reset.epoch, "cause": reset.cause, "ms": reset.milliseconds}
            log.info("reset complete", extra=extra)
            self._metrics.reset_seconds.observe((reset.milliseconds or 0) / 1000)
        if self.state.next_is_prewarmed:
            self._jobs.prepare_next()

    def job_answered(self, launch: int) -> None:
        """Record that a job has answered its dismissal: it is not blocked, and ends by itself."""
        self._draining.answered(launch)

    def out_of_room(self, launch: int, end: ExitCause, *, left: bool) -> None:
        """Record that the job could not join, or that it `left`; its process may still be running."""
        job_run = self._current(launch)
        if job_run is not None:
            job_run.end, job_run.left = end, job_run.left or left
            self._changed.set()

    def beat(self, launch: int, diagnosis: Diagnosis | None, *, failed: bool) -> None:
        """Handle a heartbeat with the job's problem, if any; `failed` means a failure since its last success."""
        job_run = self._current(launch)
        if job_run is None:
            return
        if job_run.heartbeat is not None:
            job_run.heartbeat.beat()
        if diagnosis is not None:
            self._on_problem(job_run, diagnosis)
        elif not failed and job_run.is_proven(self.state.diagnosis, self._timer()):
            self.state.diagnosis = None

    async def wait_until_dismissed(self, launch: int) -> Dismissal:
        """Wait until the job is dismissed. Return LEAVE if no job follows, RESET if another one replaces it."""
        state = self.state
        async with self._dismissals:
            await self._dismissals.wait_for(lambda: state.ended or not state.accepts(launch))
        return Dismissal.LEAVE if state.ended else Dismissal.RESET

    async def run(self) -> None:
        """Keep a job in the room while the desired state requires one. Raises GaveUpError if restarts do not help."""
        watching = asyncio.create_task(self._watch_heartbeat())
        try:
            while True:
                await self._until(lambda: self.state.job_required)
                await self._run_job()
                if self.state.has_ended:
                    self.state.job_exited()
                    self._draining.successor_started()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def end(self) -> None:
        """Let the job leave the room; no other one follows."""
        self.state.ended = True
        await self._notify()

    async def close(self) -> None:
        """End, give each job the time to end, and stop all processes."""
        await self.end()
        await self._draining.close()
        await self._jobs.close()

    async def _run_job(self) -> None:
        """Launch a job and wait until the pod needs another one."""
        reset = self.state.reset
        if reset is not None and reset.open and reset.remaining(self._timer(), self._timings) <= 0:
            self.state.reset_escalates()
            raise GaveUpError
        self._job_run = job_run = JobRun(self.state.job_starts(), self._timer(), timings=self._timings)
        await self._notify()
        job = await self._launch(job_run)
        self._draining.successor_started()
        reason = StopReason.EXITED if job is None else await self._wait_for_stop_reason(job_run, job)
        self._job_run = None
        self.traces.job_ended()
        if not self.state.has_ended:
            self._jobs.prepare_next()
        if job is not None:
            self._dispose(job_run, job, reason)
        if reason in (StopReason.EXITED, StopReason.LEFT):
            await self._ended(job_run)

    async def _launch(self, job_run: JobRun) -> Job | None:
        """Return the job once a process has accepted it, or None if no process did."""
        desired, reset = self.state.desired, self.state.reset
        if desired is None:
            return None
        self.state.participant_epoch = desired.token_epoch
        self._metrics.launches.inc()
        self.traces.job_starts()
        log.info("job starts", extra={"event": "job_starts", "launch": job_run.launch, "epoch": desired.epoch})
        limit = reset.remaining(job_run.started, self._timings) if reset is not None and reset.open else None
        try:
            async with asyncio.timeout(limit):
                job = await self._jobs.launch(desired.job_launch(job_run.launch))
        except Exception:
            log.exception("no process accepted the job", extra={"event": "launch_failed", "launch": job_run.launch})
            return None
        self.traces.job_taken()
        job_run.started = self._timer()
        job_run.heartbeat = Heartbeat(job_run.started)
        return job

    async def _wait_for_stop_reason(self, job_run: JobRun, job: Job) -> StopReason:
        """Wait until the pod needs another job and return the reason."""
        ended = asyncio.create_task(job.ended())
        ended.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                job_run.exited = ended.done()
                reason = job_run.stop_reason(self.state.reset, self.state.dismissed, self._timer())
                if reason is not None:
                    return reason
                await self._wait_for_change(job_run.time_to_join(self.state.reset, self._timer()))
        except asyncio.CancelledError:
            self._draining.add(job_run.launch, job)
            raise
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    def _dispose(self, job_run: JobRun, job: Job, reason: StopReason) -> None:
        if reason is StopReason.LATE:
            self.state.reset_escalates()
            self.state.dismiss()
            kill(job_run.launch, job, "it did not join in time")
        elif reason is StopReason.UNHEALTHY and job_run.diagnosis is not None:
            self.state.dismiss()
            if job_run.diagnosis is STUCK:
                kill(job_run.launch, job, job_run.diagnosis.message)
        elif reason is StopReason.DISMISSED and job_run.joined_at is None:
            kill(job_run.launch, job, "its join would disconnect its successor")
        self._draining.add(job_run.launch, job, has_left=reason is StopReason.LEFT)
        if reason is StopReason.UNHEALTHY and job_run.diagnosis is not None:
            self._restart_for_health(job_run.diagnosis)

    def _restart_for_health(self, diagnosis: Diagnosis) -> None:
        if not self._health_restarts.take(diagnosis, self._timer()):
            raise GaveUpError
        self.state.health_restarts += 1
        self._metrics.health_restarts.labels(diagnosis.problem.value).inc()

    async def _ended(self, job_run: JobRun) -> None:
        self.state.job_exited()
        self._notify_change()
        lived = self._timer() - job_run.started
        log.info("job ended", extra={"event": "job_ended", "launch": job_run.launch, "lived": round(lived, 3)})
        if self.state.has_ended:
            return
        delay = self._restart.after(lived=lived, end=job_run.end, now=self._timer())
        if delay is None:
            raise GaveUpError
        log.warning("job will be restarted", extra={"event": "job_restarts", "delay": delay})
        epoch = self.state.desired_epoch
        try:
            async with asyncio.timeout(delay):
                await self._until(lambda: self.state.ended or self.state.desired_epoch > epoch)
        except TimeoutError:
            return

    async def _watch_heartbeat(self) -> None:
        """Detect a stuck job, which sends no heartbeat."""
        while True:
            await asyncio.sleep(self._timings.beat_seconds)
            job_run = self._job_run
            if job_run is not None and job_run.heartbeat is not None:
                job_run.heartbeat.tick(self._timer())
                if job_run.heartbeat.stuck:
                    self._on_problem(job_run, STUCK)

    def _on_problem(self, job_run: JobRun, diagnosis: Diagnosis) -> None:
        is_tolerated, known = not self._health_restarts.can_help(diagnosis), self.state.diagnosis
        if job_run.diagnosis is not None or self.state.has_ended or (is_tolerated and known == diagnosis):
            return
        self.state.diagnosis = diagnosis
        job_run.diagnosis = None if is_tolerated else diagnosis
        if known is None or known.problem is not diagnosis.problem or not is_tolerated:
            extra = {"event": "job_unhealthy", "launch": job_run.launch, "state": diagnosis.problem.value}
            log.error("the job is unhealthy", extra=extra | {"reason": diagnosis.message})
        self._notify_change()
        self._changed.set()

    def _current(self, launch: int) -> JobRun | None:
        """Return the current job run if reports of this job still count."""
        return self._job_run if self.state.accepts(launch) else None

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._wait_for_change(None)

    async def _wait_for_change(self, seconds: float | None) -> None:
        """Wait for a change, at most `seconds`. `asyncio.wait_for` of Python 3.11 can swallow a cancellation."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _notify(self) -> None:
        self._changed.set()
        async with self._dismissals:
            self._dismissals.notify_all()
