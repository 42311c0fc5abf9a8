"""The end of a job: it leaves its room for good, or yields to the next job."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from livekit import rtc
from livekit.agents import AgentSession, JobContext

from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.livekit_internals import running_tools
from voicesession_agent.protocol import Dismissal

LINGER_SECONDS: Final = 10.0
"""Time for an agent's own shutdown callbacks; closing a session in mid-speech can take a minute."""
LEAVE_SECONDS: Final = 1.0
"""LiveKit processes a leave within 40 ms, but the client's own wait for it sometimes never returns."""
STEP_SECONDS: Final = 0.8
"""Limit of each cleanup step; three of them fit into the time that the supervisor waits before SIGKILL."""
Step = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


class JobShutdown:
    """Runs the entry point, and ends it with all its background work when the supervisor dismisses the job."""

    def __init__(
        self,
        ctx: JobContext,
        client: SupervisorClient,
        reporter: RoomReporter,
        linger_seconds: float = LINGER_SECONDS,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        self._ctx = ctx
        self._client = client
        self._reporter = reporter
        self._linger_seconds = linger_seconds
        self._step_seconds = step_seconds
        self._before: list[Step] = []
        self._after: list[Step] = []
        self._exit_timer: threading.Timer | None = None
        self._entry: asyncio.Task[None] | None = None
        self._waiting = asyncio.create_task(self._wait_for_dismissal())
        self._ending: asyncio.Task[None] | None = None
        ctx.room.on("disconnected", lambda *_: self._start_exit_timer())

    def before_session_closes(self, step: Step) -> None:
        """Add a cleanup step that runs before the session closes."""
        self._before.append(step)

    def after_session_closed(self, step: Step) -> None:
        """Add a cleanup step that runs after the session has closed."""
        self._after.append(step)

    async def run(self, entry: Coroutine[Any, Any, None]) -> None:
        """Run the entry point; raise its error, but not its cancellation by a dismissal."""
        self._entry = asyncio.create_task(entry)
        await asyncio.wait((self._entry,))
        if self._entry.cancelled():
            return
        error = self._entry.exception()
        if error is not None:
            if not isinstance(error, rtc.ConnectError):
                self._reporter.report("trouble", text=f"the agent's entry point failed: {type(error).__name__}")
            raise error

    async def close(self) -> None:
        """Finish the cleanup of a dismissal, or run it now if the job ends without one."""
        self._waiting.cancel()
        await asyncio.gather(self._waiting, return_exceptions=True)
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_background())
        await asyncio.gather(self._ending, return_exceptions=True)

    async def _wait_for_dismissal(self) -> None:
        """Wait for the supervisor's dismissal; without a supervisor nothing controls this job, and it leaves."""
        try:
            dismissal = await self._client.wait_until_dismissed()
        except aiohttp.ClientError:
            log.warning("the supervisor is gone", extra={"event": "orphaned"})
            dismissal = Dismissal.LEAVE
        self._start_exit_timer()
        yields = dismissal is Dismissal.RESET
        self._ending = asyncio.create_task(self._yield_to_successor() if yields else self._leave())

    async def _yield_to_successor(self) -> None:
        """Fall silent and stay: the next job's join removes this one, so that the room always has an agent."""
        await self._end_background()

    async def _leave(self) -> None:
        try:
            await asyncio.wait_for(self._ctx.room.disconnect(), LEAVE_SECONDS)
        except TimeoutError:
            self._reporter.report_disconnected(rtc.DisconnectReason.CLIENT_INITIATED)
        await self._end_background()
        self._ctx.shutdown("dismissed")

    async def _end_background(self) -> None:
        """Run all cleanup steps, each with a deadline; work that outlives its deadline is killed with the process."""
        started = time.monotonic()
        session = find_session(self._ctx)
        if session is not None:
            session.input.set_audio_enabled(False)
        if self._entry is not None:
            self._entry.cancel()
        tools = await self._cancel_tools()
        for step in (*self._before, *_close_steps(session), *self._after):
            await self._run_step(step)
        self._reporter.report("background_cancelled", ms=round((time.monotonic() - started) * 1000), tools=tools)

    async def _cancel_tools(self) -> int:
        """Cancel the running tools and return their number."""
        tools = running_tools()
        for tool in tools:
            tool.cancel()
        if tools:
            await asyncio.wait(tools, timeout=self._step_seconds)
        return len(tools)

    async def _run_step(self, step: Step) -> None:
        try:
            await asyncio.wait_for(step(), self._step_seconds)
        except TimeoutError:
            extra = {"event": "late", "step": _name(step), "limit": self._step_seconds}
            log.warning("a cleanup step was not done in time", extra=extra)
        except Exception:
            log.exception("a cleanup step failed", extra={"event": "cleanup_failed", "step": _name(step)})

    def _start_exit_timer(self) -> None:
        """End this process after the linger time, from a thread: the event loop may be blocked."""
        if self._exit_timer is None:
            self._exit_timer = threading.Timer(self._linger_seconds, os._exit, (0,))
            self._exit_timer.daemon = True
            self._exit_timer.start()


@dataclass(frozen=True)
class JobServices:
    """The job's parts that the built-in assistant uses; a user's own entry point needs none of them."""

    supervisor: SupervisorClient
    reporter: RoomReporter
    health: HealthMonitor
    shutdown: JobShutdown


def find_session(ctx: JobContext) -> "AgentSession[Any] | None":
    """Return the session that the job's entry point started first, or None before that."""
    try:
        return ctx.primary_session
    except RuntimeError:
        return None


def _close_steps(session: "AgentSession[Any] | None") -> list[Step]:
    return [] if session is None else [session.aclose]


def _name(step: Step) -> str:
    """Return a name for the log, such as `TurnRecorder.close`."""
    return str(getattr(step, "__qualname__", type(step).__name__))
