"""Agent jobs: processes of livekit-agents' AgentServer, which is not registered and gets its rooms from here."""

import asyncio
import logging
import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from livekit.agents import AgentServer
from livekit.agents.job import JobAcceptArguments, RunningJobInfo
from livekit.protocol import agent, models

from voicesession_agent import livekit_internals
from voicesession_agent.job import main as job_main
from voicesession_agent.protocol import job_id, launch_of
from voicesession_agent.settings import AgentSpec
from voicesession_agent.supervisor import job_programs

PREPARE_SECONDS: Final = 120.0
"""Loading models takes 1 s on an idle core and many times that on a busy node."""
CLOSE_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 1.0
"""Delay after the first process that could not be prepared; it doubles with each further one."""
LONGEST_RETRY_SECONDS: Final = 30.0
"""Half of the default startSeconds, so that a session tries a few times before its start deadline."""
ProcessEnd = Callable[[int, str], None]
"""Called with a number of the process and the reason of its end."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobLaunch:
    """Parameters of one job; `launch` is its number among the pod's jobs, which the job reads from its id."""

    launch: int
    room: str
    url: str
    token: str = field(repr=False)
    identity: str = ""
    room_sid: str = ""
    room_metadata: str = field(default="", repr=False)
    metadata: str = field(default="", repr=False)


class Job(Protocol):
    """One job and its process."""

    @property
    def pid(self) -> int: ...

    async def ended(self) -> None:
        """Wait until the process has exited."""

    def kill(self) -> None:
        """Send SIGKILL, which also ends a stopped process. An exited process is no error."""

    def end_programs(self) -> int:
        """Kill the programs that the job has started, once it has ended. Return their number."""


class JobPool(Protocol):
    """Starts jobs, each in a fresh process. The previous process may still be shutting down."""

    async def run(self, process_lost: Callable[[int, str], None], job_failed: Callable[[int, str], None]) -> None:
        """Keep one process prepared until `close()`.

        After a process that ended before it had a job, call `process_lost` with its process id and the reason, and
        prepare another one after a delay. After a job with a failed process, call `job_failed` with its launch number.
        """

    async def launch(self, parameters: JobLaunch) -> Job:
        """Start a job and return it once a process has accepted it. Raises if no process could."""

    def prepare_next(self) -> None:
        """Prepare a process for the next job, soon after failures. A launch does not: it would slow the join."""

    def serve_inference(self, runners: Sequence[str]) -> None:
        """Load the inference runners of a prepared process, each `module:class`, in a process for all jobs."""

    async def close(self) -> None:
        """Stop jobs and processes within a few seconds."""


def new_server(modules: Sequence[str], shutdown_seconds: float) -> Any:
    """Return an AgentServer whose fork server imports `modules`, and which keeps one process prepared.

    `shutdown_seconds` limits the `on_session_end` of an agent's author.
    """
    server = AgentServer(
        num_idle_processes=1,
        load_fnc=_no_load,
        load_threshold=math.inf,
        initialize_process_timeout=PREPARE_SECONDS,
        shutdown_process_timeout=CLOSE_SECONDS,
        session_end_timeout=shutdown_seconds,
        host="127.0.0.1",
        port=0,
        setup_fnc=job_main.prewarm,
        preload_modules=list(modules),
    )
    server.rtc_session(job_main.entrypoint, on_session_end=job_main.on_session_end)
    return server


class LiveKitJobs:
    """JobPool on `AgentServer(unregistered)` and its process pool, for livekit-agents 1.8.9."""

    def __init__(
        self,
        agent: AgentSpec,
        modules: Sequence[str],
        url: str,
        new_server: Callable[[Sequence[str]], Any],
        retry_seconds: tuple[float, float] = (RETRY_SECONDS, LONGEST_RETRY_SECONDS),
    ) -> None:
        """Use `url` as the LiveKit server of launches without a URL, and the first and longest `retry_seconds`."""
        self._agent = agent
        self._modules = list(modules)
        self._url = url
        self._new_server = new_server
        self._retry_seconds = retry_seconds
        self._server: Any = None
        self._inference: livekit_internals.SharedInference | None = None
        self._process_lost: ProcessEnd = lambda *_: None
        self._job_failed: ProcessEnd = lambda *_: None
        self._started = asyncio.Event()
        self._is_closing = False
        self._lost = 0
        """Number of processes that ended without a job, since the last job."""
        self._retry: asyncio.TimerHandle | None = None
        self._returned = 0
        """Launch number of the latest job that `launch` has returned."""

    async def run(self, process_lost: Callable[[int, str], None], job_failed: Callable[[int, str], None]) -> None:
        self._process_lost, self._job_failed = process_lost, job_failed
        self._server = self._new_server(self._modules)
        livekit_internals.ignore_job_status(self._server)
        running = asyncio.create_task(self._server.run(unregistered=True))
        await asyncio.sleep(0)  # the pool exists once `run` waits for the first time, and has no process yet
        if not running.done():
            self._pool.on("process_closed", self._on_process_closed)
            self._inference = livekit_internals.SharedInference(self._server)
            self._started.set()
        await running

    async def launch(self, parameters: JobLaunch) -> Job:
        await self._started.wait()
        self._cancel_retry()
        self._pool.set_target_idle_processes(0)
        info = self._info(parameters)
        await self._pool.launch_job(info)
        self._lost = 0
        for process in self._pool.processes:
            if process.running_job is info:
                self._returned = parameters.launch
                return LiveKitJob(process)
        raise RuntimeError("the job's process is gone already")

    def prepare_next(self) -> None:
        if not self._started.is_set():
            return
        if self._retry is None:
            self._pool.set_target_idle_processes(1)
        else:
            self._lost = 0
            self._prepare_later()

    def serve_inference(self, runners: Sequence[str]) -> None:
        if self._inference is not None:
            self._inference.start(runners)

    def _on_process_closed(self, process: Any) -> None:
        if self._is_closing:
            return
        if process.running_job is None:
            self._on_process_lost(process)
            return
        launch = launch_of(process.running_job.job.id)
        if launch > self._returned and process.pid is not None:
            # Nobody else knows the process of this job.
            job_programs.end_programs(process.pid)
        if process.exitcode and not process.killed and process.exitcode != -signal.SIGKILL:
            reason = describe_exit(process, PREPARE_SECONDS)
            self._job_failed(launch, f"the agent's job failed: {reason}")

    def _on_process_lost(self, process: Any) -> None:
        """Delay the next process after one that ended without a job; the pool itself would start it at once."""
        self._pool.set_target_idle_processes(0)
        if process.pid is not None:
            job_programs.end_programs(process.pid)
        delay = self._prepare_later()
        self._lost += 1
        extra = {"event": "process_lost", "pid": process.pid, "exitcode": process.exitcode, "delay": delay}
        log.warning("a process ended before it had a job", extra=extra)
        reason = describe_exit(process, PREPARE_SECONDS)
        self._process_lost(process.pid or 0, f"the agent cannot be prepared: {reason}")

    def _prepare_later(self) -> float:
        """Prepare a process after a delay, and return its seconds."""
        first, longest = self._retry_seconds
        delay = min(longest, first * 2.0 ** min(self._lost, 10))
        self._cancel_retry()
        self._retry = asyncio.get_running_loop().call_later(delay, self._prepare_again)
        return delay

    def _prepare_again(self) -> None:
        self._retry = None
        self._pool.set_target_idle_processes(1)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _info(self, parameters: JobLaunch) -> Any:
        """Return the job info as `AgentServer.simulate_job` does, with an id that identifies the process."""
        job = agent.Job(
            id=job_id(parameters.launch),
            room=models.Room(name=parameters.room, sid=parameters.room_sid, metadata=parameters.room_metadata),
            type=agent.JobType.JT_ROOM,
            metadata=parameters.metadata,
            agent_name=self._agent.name,
            state=agent.JobState(status=agent.JobStatus.JS_RUNNING, participant_identity=parameters.identity),
        )
        return RunningJobInfo(
            worker_id=self._server.id,
            accept_arguments=JobAcceptArguments(self._agent.display_name, parameters.identity, metadata=""),
            job=job,
            url=parameters.url or self._url,
            token=parameters.token,
            fake_job=False,
        )

    @property
    def _pool(self) -> Any:
        return livekit_internals.process_pool(self._server)

    async def close(self) -> None:
        if self._server is None:
            return
        self._is_closing = True
        self._cancel_retry()
        try:
            inference = () if self._inference is None else (self._inference.close(),)
            await asyncio.wait_for(asyncio.gather(self._server.aclose(), *inference), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("jobs did not end in time", extra={"event": "close_timeout", "limit": CLOSE_SECONDS})


class LiveKitJob:
    """Job on the pool's executor of one process."""

    def __init__(self, process: Any) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    async def ended(self) -> None:
        await self._process.join()

    def kill(self) -> None:
        livekit_internals.kill_process(self._process)

    def end_programs(self) -> int:
        return job_programs.end_programs(self.pid)


def _no_load() -> float:
    """Return no load: a pod runs one job, and the node's load must not remove the prewarmed job."""
    return 0.0


def describe_exit(executor: Any, limit: float) -> str:
    """Return the reason of a process's end for the author of the VoiceAgent; it had `limit` seconds to answer."""
    code = executor.exitcode
    if executor.killed:
        return f"its process did not answer within {limit:g} s"
    if code is None:
        return "its process did not start"
    if code >= 0:
        return f"its process exited with code {code}"
    hint = "; pod.resources may limit its memory too much" if code == -signal.SIGKILL else ""
    return f"its process was killed by signal {-code}{hint}"
