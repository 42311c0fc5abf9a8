"""Agent jobs: processes of livekit-agents' own server, which here registers nowhere and is handed its rooms."""

import asyncio
import importlib
import logging
import math
import multiprocessing
from collections.abc import Sequence
from multiprocessing import forkserver
from typing import Any, Final, Protocol

from voicesession_agent.settings import AgentSpec

PREPARE_SECONDS: Final = 120.0
"""Loading models takes 1 s on a free core and many times that on a crowded node."""
CLOSE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
EMBEDDED: Final = ("moonshine", "pico")
log = logging.getLogger(__name__)


class JobServer(Protocol):
    """One job at a time, each in a fresh process."""

    async def run(self) -> None:
        """Keep one process prepared until closed."""

    async def launch(self, room: str, url: str, token: str) -> None:
        """Start a job in `room`; returns when a process has taken it. Raise when none could."""

    async def ended(self) -> None:
        """Return once no job runs."""

    async def close(self) -> None:
        """End the jobs and the processes within a few seconds."""


def preload_modules(agent: AgentSpec) -> list[str]:
    """What the fork server imports once for all jobs; a user's own module is not among it: it may start threads."""
    modules = ["livekit.agents", "anyio._backends._asyncio", "voicesession_agent.job"]
    if agent.entrypoint:
        return modules
    modules += ["voicesession_agent.assistant", "numpy.fft", "jiter"]
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
    """JobServer over `AgentServer(unregistered)` and `simulate_job` of livekit-agents 1.8.9."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = list(modules)
        self._server: Any = None
        self._imported = asyncio.Event()

    async def run(self) -> None:
        await asyncio.to_thread(importlib.import_module, "livekit.agents")
        self._server = self._build()
        self._imported.set()
        await self._server.run(unregistered=True)

    def _build(self) -> Any:
        from livekit.agents import AgentServer  # noqa: PLC0415 - seconds of imports, after the control port answers

        from voicesession_agent import job  # noqa: PLC0415

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

    async def launch(self, room: str, url: str, token: str) -> None:
        from livekit.protocol import models  # noqa: PLC0415 - as above

        await self._imported.wait()
        if url:
            self._server._ws_url = url  # the room may live elsewhere than LIVEKIT_URL says; there is no public setter
        await self._server.simulate_job(room, room_info=models.Room(name=room), token=token)

    async def ended(self) -> None:
        while self._server.active_jobs:  # noqa: ASYNC110 - livekit-agents has no public event for it
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        if self._server is None:
            return
        try:
            await asyncio.wait_for(self._server.aclose(), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("jobs did not end in time", extra={"event": "close_timeout", "limit": CLOSE_SECONDS})


def _no_load() -> float:
    """One job per pod: the machine's load must not decide whether the spare process is kept."""
    return 0.0
