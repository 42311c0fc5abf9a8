"""Agent jobs: processes of livekit-agents' AgentServer, which is not registered and gets its rooms from here."""

import asyncio
import importlib
import logging
import math
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from typing import Any, Final, Protocol

from voicesession_agent import livekit_internals
from voicesession_agent.settings import AgentSpec
from voicesession_agent.supervisor import job_programs

PREPARE_SECONDS: Final = 120.0
"""Loading models takes 1 s on an idle core and many times that on a busy node."""
CLOSE_SECONDS: Final = 2.0
EMBEDDED: Final = ("moonshine", "pico")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobLaunch:
    """Parameters of one job; `launch` is its number among the pod's jobs, which the job reads from its id."""

    launch: int
    room: str
    url: str
    token: str = field(repr=False)
    identity: str = ""


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

    async def run(self) -> None:
        """Keep one process prepared until `close()`."""

    async def launch(self, parameters: JobLaunch) -> Job:
        """Start a job and return it once a process has accepted it. Raises if no process could."""

    def prepare_next(self) -> None:
        """Prepare a process for the next job. A launch does not do this, because it would slow the join."""

    async def close(self) -> None:
        """Stop jobs and processes within a few seconds."""


def preload_modules(agent: AgentSpec) -> list[str]:
    """Return the modules that the fork server imports for all jobs, without a user's module: it may start threads."""
    modules = ["livekit.agents", "anyio._backends._asyncio", "voicesession_agent.job.main"]
    if agent.entrypoint:
        return modules
    modules += ["voicesession_agent.assistant.assistant", "numpy.fft", "jiter"]
    providers = {agent.stt.name, agent.llm.name, agent.tts.name}
    if "openai" in providers:
        modules.append("livekit.plugins.openai")
    return modules + [f"voicesession_agent.speech.{name}" for name in EMBEDDED if name in providers]


def start_forkserver(modules: Sequence[str]) -> None:
    """Start the jobs' imports in the fork server now, parallel to the imports of this process.

    AgentServer starts the fork server only after its own imports, and keeps one that is running.
    """
    multiprocessing.set_forkserver_preload([*modules, *livekit_internals.WARM_UP_MODULES])
    forkserver.ensure_running()


def new_server(modules: Sequence[str], shutdown_seconds: float) -> Any:
    """Return an AgentServer whose fork server imports `modules`, and which keeps one process prepared.

    `shutdown_seconds` limits the `on_session_end` of an agent's author.
    """
    from livekit.agents import AgentServer  # noqa: PLC0415 - seconds of imports, after the control port answers

    from voicesession_agent.job import main as job  # noqa: PLC0415

    server = AgentServer(
        num_idle_processes=1,
        load_fnc=_no_load,
        load_threshold=math.inf,
        initialize_process_timeout=PREPARE_SECONDS,
        shutdown_process_timeout=CLOSE_SECONDS,
        session_end_timeout=shutdown_seconds,
        host="127.0.0.1",
        port=0,
        setup_fnc=job.prewarm,
        preload_modules=list(modules),
    )
    server.rtc_session(job.entrypoint, on_session_end=job.on_session_end)
    return server


class LiveKitJobs:
    """JobPool on `AgentServer(unregistered)` and its process pool, for livekit-agents 1.8.9."""

    def __init__(self, modules: Sequence[str], url: str, new_server: Callable[[Sequence[str]], Any]) -> None:
        """Use `url` as the LiveKit server of launches without a URL."""
        self._modules = list(modules)
        self._url = url
        self._new_server = new_server
        self._server: Any = None
        self._imported = asyncio.Event()

    async def run(self) -> None:
        await asyncio.to_thread(importlib.import_module, "livekit.agents")
        self._server = self._new_server(self._modules)
        livekit_internals.ignore_job_status(self._server)
        self._imported.set()
        await self._server.run(unregistered=True)

    async def launch(self, parameters: JobLaunch) -> Job:
        await self._imported.wait()
        self._pool.set_target_idle_processes(0)
        info = self._info(parameters)
        await self._pool.launch_job(info)
        for process in self._pool.processes:
            if process.running_job is info:
                return LiveKitJob(process)
        raise RuntimeError("the job's process is gone already")

    def prepare_next(self) -> None:
        if self._imported.is_set():
            self._pool.set_target_idle_processes(1)

    def _info(self, parameters: JobLaunch) -> Any:
        """Return the job info as `AgentServer.simulate_job` does, with an id that identifies the process."""
        from livekit.agents.job import JobAcceptArguments, RunningJobInfo  # noqa: PLC0415 - as above
        from livekit.protocol import agent, models  # noqa: PLC0415 - as above

        from voicesession_agent.protocol import job_id  # noqa: PLC0415 - not before the fork server starts

        room = models.Room(name=parameters.room)
        return RunningJobInfo(
            worker_id=self._server.id,
            accept_arguments=JobAcceptArguments(identity=parameters.identity, name="", metadata=""),
            job=agent.Job(id=job_id(parameters.launch), room=room, type=agent.JobType.JT_ROOM),
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
        try:
            await asyncio.wait_for(self._server.aclose(), CLOSE_SECONDS)
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
