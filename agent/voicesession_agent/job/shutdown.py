"""The end of a job: it leaves its room for good, yields to the next job, or ends the whole session on its own."""

import asyncio
import functools
import inspect
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
from voicesession_agent.protocol import BACKGROUND_SECONDS, Dismissal

GOODBYE_SECONDS: Final = 10.0
"""Time for a speech that cannot be interrupted, when the agent ends the session."""
LEAVE_SECONDS: Final = 1.0
"""LiveKit processes a leave within 40 ms, but the client's own wait for it sometimes never returns."""
STEP_SECONDS: Final = 0.75
"""Limit of each step: with the leave, the tools and three cleanup steps fit into BACKGROUND_SECONDS."""
EXIT_SECONDS: Final = 3.0
"""Time for the process to exit after its last shutdown callback; a thread can hold it longer."""
Step = Callable[[], Awaitable[None]]
ShutdownCallback = Callable[..., Coroutine[None, None, None]]
log = logging.getLogger(__name__)


class JobShutdown:
    """Runs the entry point, and ends it with all its background work when the supervisor dismisses the job.

    The shutdown callbacks of the agent's author, and their `on_session_end`, have `shutdown_seconds` at every end.
    """

    def __init__(
        self,
        ctx: JobContext,
        client: SupervisorClient,
        reporter: RoomReporter,
        shutdown_seconds: float,
        step_seconds: float = STEP_SECONDS,
        exit_seconds: float = EXIT_SECONDS,
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._ctx = ctx
        self._client = client
        self._reporter = reporter
        self._shutdown_seconds = shutdown_seconds
        self._step_seconds = step_seconds
        self._exit_seconds = exit_seconds
        self._exit_process = exit_process
        self._before: list[Step] = []
        self._after: list[Step] = []
        self._exit_timer: threading.Timer | None = None
        self._callbacks_left = 0
        self._entry: asyncio.Task[None] | None = None
        self._is_ended_by_others = self._is_end_reported = False
        self._own_end: asyncio.Task[None] | None = None
        self._waiting = asyncio.create_task(self._wait_for_dismissal())
        self._ending: asyncio.Task[None] | None = None
        self._shut_down, self._add_callback = ctx.shutdown, ctx.add_shutdown_callback
        ctx.shutdown = self.end_session  # type: ignore[method-assign]
        ctx.add_shutdown_callback = self._add_guarded  # type: ignore[method-assign]
        ctx.room.on("disconnected", lambda *_: self._on_disconnected())

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
            self._is_ended_by_others = True
            if not isinstance(error, rtc.ConnectError):
                self._reporter.report("trouble", text=f"the agent's entry point failed: {type(error).__name__}")
            raise error

    def end_session(self, reason: str = "user requested") -> None:
        """End the whole session for the agent, once its AgentSession has closed. Replaces `ctx.shutdown`.

        A job that is already ending for another reason cannot end the session: shutdown callbacks often delete the
        room, also those of a job that yields to the next one.
        """
        if self._is_ended_by_others:
            self._shut_down(reason)
        elif self._own_end is None:
            self._own_end = asyncio.create_task(self._end_session(reason))

    def delete_room(self) -> None:
        """End the whole session for the agent, at once. Replaces LiveKit's deletion of the room."""
        if not self._is_ended_by_others:
            self._report_end()
            self.end_session("the room was deleted")

    async def close(self) -> None:
        """Finish the cleanup of a dismissal, or run it now if the job ends without one."""
        self._waiting.cancel()
        await asyncio.gather(self._waiting, return_exceptions=True)
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_background())
        own_end = () if self._own_end is None else (self._own_end,)
        await asyncio.gather(self._ending, *own_end, return_exceptions=True)

    async def _end_session(self, reason: str) -> None:
        session = find_session(self._ctx)
        if session is not None:
            await self._run_step(session.aclose, GOODBYE_SECONDS)
        self._report_end()
        self._start_countdown()
        self._shut_down(reason)

    def _report_end(self) -> None:
        if not self._is_end_reported:
            self._is_end_reported = True
            self._reporter.report("ended")

    async def _wait_for_dismissal(self) -> None:
        """Wait for the supervisor's dismissal; without a supervisor nothing controls this job, and it leaves."""
        try:
            dismissal = await self._client.wait_until_dismissed()
        except aiohttp.ClientError:
            log.warning("the supervisor is gone", extra={"event": "orphaned"})
            dismissal = Dismissal.LEAVE
        self._reporter.report("dismissed")
        self._start_countdown()
        if dismissal is Dismissal.RESET:
            await self._stop_own_end()
            self._ending = asyncio.create_task(self._yield_to_successor())
        elif self._own_end is None:
            self._is_ended_by_others = True
            self._ending = asyncio.create_task(self._leave())

    async def _stop_own_end(self) -> None:
        """Let this job no longer end the session, because the next job has the session."""
        self._is_ended_by_others = True
        if self._own_end is not None:
            self._own_end.cancel()
            await asyncio.gather(self._own_end, return_exceptions=True)

    async def _yield_to_successor(self) -> None:
        """Fall silent and stay: the next job's join removes this one, so that the room always has an agent."""
        await self._end_background()

    async def _leave(self) -> None:
        try:
            await asyncio.wait_for(self._ctx.room.disconnect(), LEAVE_SECONDS)
        except Exception as error:
            # The process ends soon, and its connection with it: the clean-up must not wait for a fault of the client.
            log.warning("leaving failed", extra={"event": "leave_failed", "reason": type(error).__name__})
            self._reporter.report_disconnected(rtc.DisconnectReason.CLIENT_INITIATED)
        await self._end_background()
        self._shut_down("dismissed")

    async def _end_background(self) -> None:
        """Run all cleanup steps, each with a deadline; work that outlives its deadline is killed with the process."""
        started = time.monotonic()
        session = find_session(self._ctx)
        if session is not None:
            session.input.set_audio_enabled(False)
        self._cancel_entry()
        tools = await self._cancel_tools()
        for step in self._before:
            await self._run_step(step)
        await self._finish_tools()
        for step in (*_close_steps(session), *self._after):
            await self._run_step(step)
        self._reporter.report("background_cancelled", ms=round((time.monotonic() - started) * 1000), tools=tools)

    async def _cancel_tools(self) -> int:
        """Cancel the running tools, except those that allow no interruption, and return their number."""
        tools = [tool for tool, may_be_interrupted in running_tools().items() if may_be_interrupted]
        for tool in tools:
            tool.cancel()
        if tools:
            await asyncio.wait(tools, timeout=self._step_seconds)
        return len(tools)

    async def _finish_tools(self) -> None:
        """Let the tools that allow no interruption end by themselves, within half of the time of the callbacks."""
        tools = [tool for tool, may_be_interrupted in running_tools().items() if not may_be_interrupted]
        if tools:
            _, late = await asyncio.wait(tools, timeout=self._shutdown_seconds / 2)
            for tool in late:
                tool.cancel()

    async def _run_step(self, step: Step, seconds: float | None = None) -> None:
        limit = self._step_seconds if seconds is None else seconds
        try:
            await asyncio.wait_for(step(), limit)
        except TimeoutError:
            log.warning(
                "a cleanup step was not done in time", extra={"event": "late", "step": _name(step), "limit": limit}
            )
        except Exception:
            log.exception("a cleanup step failed", extra={"event": "cleanup_failed", "step": _name(step)})

    def _add_guarded(self, callback: ShutdownCallback) -> None:
        """Add a shutdown callback whose error ends no other callback. Replaces `ctx.add_shutdown_callback`."""
        takes_reason = bool(inspect.signature(callback).parameters)

        @functools.wraps(callback)
        async def guarded(reason: str) -> None:
            try:
                await (callback(reason) if takes_reason else callback())
            except (Exception, SystemExit) as error:  # not its message, which may quote the conversation
                extra = {"event": "callback_failed", "callback": _name(callback), "reason": type(error).__name__}
                log.error("a shutdown callback failed", extra=extra)
            finally:
                self._callbacks_left -= 1
                if not self._callbacks_left:
                    self._limit_life(self._exit_seconds)

        self._callbacks_left += 1
        self._add_callback(guarded)

    def _on_disconnected(self) -> None:
        self._is_ended_by_others = True
        self._start_countdown()

    def _start_countdown(self) -> None:
        """Limit the rest of this job's life; the entry point may use one half of the time of the callbacks."""
        if self._exit_timer is None:
            self._limit_life(BACKGROUND_SECONDS + self._shutdown_seconds)
            asyncio.get_running_loop().call_later(self._shutdown_seconds / 2, self._cancel_entry)

    def _cancel_entry(self) -> None:
        if self._entry is not None:
            self._entry.cancel()

    def _limit_life(self, seconds: float) -> None:
        """End this process after `seconds`, from a thread: the event loop may be blocked."""
        if self._exit_timer is not None:
            self._exit_timer.cancel()
        self._exit_timer = threading.Timer(seconds, self._exit_process, (0,))
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


def _name(step: Callable[..., object]) -> str:
    """Return a name for the log, such as `TurnRecorder.close`."""
    return str(getattr(step, "__qualname__", type(step).__name__))
