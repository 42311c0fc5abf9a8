"""A supervisor with fake jobs that a test controls."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from voicesession_agent.metrics import Metrics
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.job_pool import JobLaunch, ProcessEnd
from voicesession_agent.supervisor.job_server import Reports
from voicesession_agent.supervisor.pod_state import JobPhase, PodState
from voicesession_agent.supervisor.pod_traces import PodTraces
from voicesession_agent.supervisor.reset import JOB_TIMINGS, JobTimings
from voicesession_agent.supervisor.supervisor import GaveUpError, Supervisor
from voicesession_agent.tracing import AgentTracing

TOKEN = "t"  # noqa: S105 - of no room
DEADLINE = 30.0


class FakeJob:
    """A job that runs until `die` or `kill` is called."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.killed = self.programs_ended = False
        self._dead = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._pid

    async def ended(self) -> None:
        await self._dead.wait()

    def die(self) -> None:
        self._dead.set()

    def kill(self) -> None:
        self.killed = True
        self._dead.set()

    def end_programs(self) -> int:
        self.programs_ended = True
        return 0


class FakeJobs:
    def __init__(self) -> None:
        self.orders: list[JobLaunch] = []
        self.jobs: list[FakeJob] = []
        self.failing = False
        self.closed = False
        self.asked_to_prepare = 0
        self.runners: list[list[str]] = []
        self.process_there = asyncio.Event()
        self.process_there.set()

    async def run(self, process_lost: ProcessEnd, job_failed: ProcessEnd) -> None:
        await asyncio.Event().wait()

    async def launch(self, order: JobLaunch) -> FakeJob:
        self.orders.append(order)
        await self.process_there.wait()
        if self.failing:
            raise RuntimeError
        self.jobs.append(FakeJob(order.launch))
        return self.jobs[-1]

    def prepare_next(self) -> None:
        self.asked_to_prepare += 1

    def serve_inference(self, runners: Sequence[str]) -> None:
        self.runners.append(list(runners))

    async def close(self) -> None:
        self.closed = True


class FakeMemory:
    def __init__(self) -> None:
        self.desired: list[DesiredState] = []
        self.reloads = 0
        self.spoken = 0

    def apply(self, desired: DesiredState) -> None:
        self.desired.append(desired)

    def reload(self) -> None:
        self.reloads += 1

    def someone_speaks(self) -> None:
        self.spoken += 1

    def turn_lost(self) -> None:
        raise NotImplementedError


class SupervisorWorld:
    """A supervisor, its timer `now`, and its fake jobs. Waits of asyncio use the real clock.

    `step` is the difference of its clock from its timer.
    """

    def __init__(
        self,
        tracing: AgentTracing | None = None,
        memory: FakeMemory | None = None,
        timings: JobTimings = JOB_TIMINGS,
    ) -> None:
        self.now = 100.0
        self.step = 0.0
        self.jobs = FakeJobs()
        self.memory = memory or FakeMemory()
        self.metrics = Metrics()
        self.state = PodState("pod-1", process_started=99.0)
        self.traces = PodTraces(tracing or AgentTracing(), lambda: self.now)
        self.notify: list[tuple[JobPhase, bool]] = []
        self.supervisor = Supervisor(
            self.state,
            self.jobs,
            self.metrics,
            self.memory,
            lambda: self.now + self.step,
            self.traces,
            self._publish,
            timings,
            timer=lambda: self.now,
        )
        spoken, answered, lost = (
            self.memory.someone_speaks,
            self.metrics.observe_response,
            self.memory.turn_lost,
        )
        self.reports = Reports(self.supervisor, spoken, answered, lost, lambda: self.now)
        self.running = asyncio.create_task(self.supervisor.run())

    def _publish(self) -> None:
        """Record the state that the operator would see: the job's phase and its health."""
        self.notify.append((self.state.job, self.state.diagnosis is not None))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the code under test tells nobody
                await asyncio.sleep(0.001)

    async def report(self, launch: int, kind: str, **facts: object) -> None:
        await self.reports.handle({"kind": kind, "launch": launch, **facts})

    async def started(self, launch: int) -> FakeJob:
        """Wait until a process has accepted the job with this number, and return the job."""
        await self.until(lambda: len(self.jobs.jobs) >= launch)
        return self.jobs.jobs[launch - 1]

    async def joined(self, launch: int) -> FakeJob:
        job = await self.started(launch)
        await self.report(launch, "joined", sid=f"PA_{launch}")
        return job

    async def first_joined(self) -> FakeJob:
        """Start the job of epoch 1, let it join, and return it."""
        await self.supervisor.prepared()
        await self.supervisor.set_desired_state(desired())
        return await self.joined(1)

    async def end(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError, GaveUpError):
            await self.running
        for job in self.jobs.jobs:
            job.die()
        await self.supervisor.close()

    async def settle(self) -> None:
        """Let all ready tasks run."""
        await asyncio.sleep(0.01)


def desired(epoch: int = 1, cause: str = "Start") -> DesiredState:
    return DesiredState(
        session_uid="u1",
        epoch=epoch,
        room_name="vs-1",
        room_url="ws://x",
        token=TOKEN,
        cause=cause,
        token_epoch=str(epoch),
    )
