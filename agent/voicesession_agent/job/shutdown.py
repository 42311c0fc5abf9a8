"""A job's way out of its room: told to leave it for good, or to make room for the next job."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import aiohttp
from livekit import rtc
from livekit.agents import AgentSession, JobContext

from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.supervisor_client import Dismissal, SupervisorClient

LINGER_SECONDS: Final = 10.0
"""What an agent's own shutdown callbacks get; closing a session in mid-speech can take a minute."""
LEAVE_SECONDS: Final = 1.0
"""LiveKit takes a leave within 40 ms, but the client's own wait for it sometimes never returns."""
STEP_SECONDS: Final = 0.8
"""For each step of ending the background; three of them fit into what the supervisor waits before SIGKILL."""
TOOL: Final = "tool_exec_"
"""How livekit-agents names the task of a running tool. It cancels none of them, and waits for all when it closes."""
Step = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


class JobShutdown:
    """Runs the entry point, and ends it and all that it left running when the supervisor says so."""

    def __init__(self, ctx: JobContext, link: SupervisorClient, presence: RoomReporter) -> None:
        self._ctx = ctx
        self._link = link
        self._presence = presence
        self._before: list[Step] = []
        self._after: list[Step] = []
        self._last: threading.Timer | None = None
        self._entry: asyncio.Task[None] | None = None
        self._waiting = asyncio.create_task(self._wait())
        self._ending: asyncio.Task[None] | None = None
        ctx.room.on("disconnected", lambda *_: self._end_within(LINGER_SECONDS))

    def before_closing(self, step: Step) -> None:
        """To be done when the background is ended, before the session closes."""
        self._before.append(step)

    def after_closing(self, step: Step) -> None:
        self._after.append(step)

    async def during(self, entry: Coroutine[Any, Any, None]) -> None:
        """Run the entry point; raise what it raises, except when an order to leave cancelled it."""
        self._entry = asyncio.create_task(entry)
        await asyncio.wait((self._entry,))
        if self._entry.cancelled():
            return
        error = self._entry.exception()
        if error is not None:
            if not isinstance(error, rtc.ConnectError):
                self._presence.report("trouble", text=f"the agent's entry point failed: {type(error).__name__}")
            raise error

    async def close(self) -> None:
        """The job ends: let a departure that has begun end its steps, and take them here where none has."""
        self._waiting.cancel()
        await asyncio.gather(self._waiting, return_exceptions=True)
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_background())
        await asyncio.gather(self._ending, return_exceptions=True)

    async def _wait(self) -> None:
        """Leave when told to, or when the supervisor is gone: nobody would look after this job any more."""
        try:
            departure = await self._link.departure()
        except aiohttp.ClientError:
            log.warning("the supervisor is gone", extra={"event": "orphaned"})
            departure = Dismissal.LEAVE
        self._end_within(LINGER_SECONDS)
        self._ending = asyncio.create_task(self._make_way() if departure is Dismissal.RESET else self._leave())

    async def _make_way(self) -> None:
        """Fall silent and stay: the next job's join puts this one out, so that the room is never without an agent."""
        await self._end_background()

    async def _leave(self) -> None:
        try:
            await asyncio.wait_for(self._ctx.room.disconnect(), LEAVE_SECONDS)
        except TimeoutError:
            self._presence.disconnected(rtc.DisconnectReason.CLIENT_INITIATED)
        await self._end_background()
        self._ctx.shutdown("told to leave")

    async def _end_background(self) -> None:
        """Each step has a deadline: what does not end is killed with the process."""
        started = time.monotonic()
        session = self._ctx._primary_agent_session
        if session is not None:
            session.input.set_audio_enabled(False)
        if self._entry is not None:
            self._entry.cancel()
        tools = await _cancel_tools()
        for step in (*self._before, *_closing(session), *self._after):
            await _within(step)
        self._presence.report("background_cancelled", ms=round((time.monotonic() - started) * 1000), tools=tools)

    def _end_within(self, seconds: float) -> None:
        """End this process then, whatever it is stuck in; a thread, because the event loop may be what is stuck."""
        if self._last is None:
            self._last = threading.Timer(seconds, os._exit, (0,))
            self._last.daemon = True
            self._last.start()


async def _cancel_tools() -> int:
    """Answer how many were running."""
    tools = [task for task in asyncio.all_tasks() if task.get_name().startswith(TOOL)]
    for tool in tools:
        tool.cancel()
    if tools:
        await asyncio.wait(tools, timeout=STEP_SECONDS)
    return len(tools)


def _closing(session: "AgentSession[Any] | None") -> list[Step]:
    return [] if session is None else [session.aclose]


async def _within(step: Step) -> None:
    try:
        await asyncio.wait_for(step(), STEP_SECONDS)
    except TimeoutError:
        extra = {"event": "late", "step": _name(step), "limit": STEP_SECONDS}
        log.warning("a step of the departure was not done in time", extra=extra)
    except Exception:
        log.exception("a step of the departure failed", extra={"event": "departure_failed", "step": _name(step)})


def _name(step: Step) -> str:
    """E.g. `TurnTaker.close`."""
    return str(getattr(step, "__qualname__", type(step).__name__))
