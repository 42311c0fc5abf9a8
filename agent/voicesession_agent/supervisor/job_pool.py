"""Agent jobs: processes of livekit-agents' own server, which here registers nowhere and is handed its rooms."""

import asyncio
import importlib
import logging
import math
import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from typing import Any, Final, Protocol

from voicesession_agent.settings import AgentSpec

PREPARE_SECONDS: Final = 120.0
"""Loading models takes 1 s on a free core and many times that on a crowded node."""
CLOSE_SECONDS: Final = 2.0
EMBEDDED: Final = ("moonshine", "pico")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobLaunch:
    """What one job needs to join; `launch` is its number among the pod's jobs, and it learns it with the order."""

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
        """Return once the process is gone."""

    def kill(self) -> None:
        """SIGKILL: it works on a stopped process too. Nothing happens to one that is gone."""


class JobPool(Protocol):
    """Starts jobs, each in a fresh process; an old one may still be on its way out when the next one starts."""

    async def run(self) -> None:
        """Keep one process prepared until closed."""

    async def launch(self, order: JobLaunch) -> Job:
        """Start a job; returns when a process has taken it. Raise when none could."""

    def prepare_next(self) -> None:
        """Prepare a process for the next job: after a launch this waits to be asked, so as not to slow the join."""

    async def close(self) -> None:
        """End the jobs and the processes within a few seconds."""


def job_id(launch: int) -> str:
    """livekit-agents' id of a job, the one thing of an order that reaches its process and no agent's author reads."""
    return f"job-{launch}"


def launch_of(job: str) -> int:
    """Raise ValueError when `job` is not an id of this pod."""
    return int(job.removeprefix("job-"))


def preload_modules(agent: AgentSpec) -> list[str]:
    """What the fork server imports once for all jobs; a user's own module is not among it: it may start threads."""
    modules = ["livekit.agents", "anyio._backends._asyncio", "voicesession_agent.job.main"]
    if agent.entrypoint:
        return modules
    modules += ["voicesession_agent.assistant.assistant", "numpy.fft", "jiter"]
    providers = {agent.stt.name, agent.llm.name, agent.tts.name}
    if "openai" in providers:
        modules.append("livekit.plugins.openai")
    return modules + [f"voicesession_agent.speech.{name}" for name in EMBEDDED if name in providers]


def start_forkserver(modules: Sequence[str]) -> None:
    """Begin the jobs' imports in the fork server now, so that they overlap with this process's own.

    AgentServer would start it only after its own imports; it finds this one running and keeps it. The last two
    modules are those it would add itself: its warm-up, and the freeze of everything imported so far.
    """
    warm_up = ["livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze"]
    multiprocessing.set_forkserver_preload([*modules, *warm_up])
    forkserver.ensure_running()


class LiveKitJobs:
    """JobPool over `AgentServer(unregistered)` and its pool of processes, of livekit-agents 1.8.9."""

    def __init__(self, modules: Sequence[str], url: str) -> None:
        """`url` is the LiveKit server of orders that name none."""
        self._modules = list(modules)
        self._url = url
        self._server: Any = None
        self._imported = asyncio.Event()

    async def run(self) -> None:
        await asyncio.to_thread(importlib.import_module, "livekit.agents")
        self._server = self._build()
        # Its queue to LiveKit, which nobody empties here, would hold the first 64 jobs, and a waiting task all others.
        self._server._update_job_status = _ignore_status
        self._imported.set()
        await self._server.run(unregistered=True)

    def _build(self) -> Any:
        from livekit.agents import AgentServer  # noqa: PLC0415 - seconds of imports, after the control port answers

        from voicesession_agent.job import main as job  # noqa: PLC0415

        server = AgentServer(
            num_idle_processes=1,
            load_fnc=_no_load,
            load_threshold=math.inf,
            initialize_process_timeout=PREPARE_SECONDS,
            shutdown_process_timeout=CLOSE_SECONDS,
            session_end_timeout=CLOSE_SECONDS,
            host="127.0.0.1",
            port=0,
            setup_fnc=job.prewarm,
            preload_modules=self._modules,
        )
        server.rtc_session(job.entrypoint)
        return server

    async def launch(self, order: JobLaunch) -> Job:
        await self._imported.wait()
        self._pool.set_target_idle_processes(0)
        info = self._info(order)
        await self._pool.launch_job(info)
        for process in self._pool.processes:
            if process.running_job is info:
                return LiveKitJob(process)
        raise RuntimeError("the job's process is gone already")

    def prepare_next(self) -> None:
        if self._imported.is_set():
            self._pool.set_target_idle_processes(1)

    def _info(self, order: JobLaunch) -> Any:
        """As `AgentServer.simulate_job` makes it, but with an id by which the process can be found."""
        from livekit.agents.job import JobAcceptArguments, RunningJobInfo  # noqa: PLC0415 - as above
        from livekit.protocol import agent, models  # noqa: PLC0415 - as above

        room = models.Room(name=order.room)
        return RunningJobInfo(
            worker_id=self._server.id,
            accept_arguments=JobAcceptArguments(identity=order.identity, name="", metadata=""),
            job=agent.Job(id=job_id(order.launch), room=room, type=agent.JobType.JT_ROOM),
            url=order.url or self._url,
            token=order.token,
            fake_job=False,
        )

    @property
    def _pool(self) -> Any:
        """There is no public way to the process of a job."""
        return self._server._proc_pool

    async def close(self) -> None:
        if self._server is None:
            return
        try:
            await asyncio.wait_for(self._server.aclose(), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("jobs did not end in time", extra={"event": "close_timeout", "limit": CLOSE_SECONDS})


class LiveKitJob:
    """Job over the pool's executor of one process."""

    def __init__(self, process: Any) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    async def ended(self) -> None:
        await self._process.join()

    def kill(self) -> None:
        """Not by the executor's own `kill`, which first waits half a second for a dump of its stacks."""
        self._process._kill_sent = True
        with suppress(ValueError):  # already joined and closed
            self._process._proc.kill()


async def _ignore_status(_: Any) -> None:
    """Of what has become of a job: the supervisor sees it for itself."""


def _no_load() -> float:
    """One job per pod: the machine's load must not decide whether the spare process is kept."""
    return 0.0
