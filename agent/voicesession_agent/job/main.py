"""The functions that livekit-agents calls in a job process: load the models once, then run one conversation."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp
from livekit.agents import JobContext, JobProcess

from voicesession_agent.job import entrypoint as entrypoints
from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.humans import SessionLink
from voicesession_agent.job.room_reporter import LatencyReporter, RoomReporter
from voicesession_agent.job.shutdown import JobServices, JobShutdown, find_session
from voicesession_agent.job.supervisor_client import SupervisorClient, report_now
from voicesession_agent.json_logging import redact_job_logs
from voicesession_agent.livekit_internals import hear_unnamed_microphones, registered_runners, watch_own_end
from voicesession_agent.protocol import launch_of
from voicesession_agent.settings import AgentSettings, conceal_secrets, mark_programs, use_room_token


class UnpreparedError(Exception):
    """This process cannot run a job; the message has the reason."""


Run = Callable[[JobContext, JobServices], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Program:
    """The conversation of a prewarmed process, and the `on_session_end` of its author."""

    run: Run
    session_end: entrypoints.SessionEnd | None = None


_programs: Final[WeakKeyDictionary[JobProcess, Program]] = WeakKeyDictionary()
"""By process; not in `userdata`, which belongs to the agent's author."""
log = logging.getLogger(__name__)


def prewarm(proc: JobProcess) -> None:
    """Load the models or the user's entry point, and report the result to the supervisor.

    After a failure the process ends, because a second try needs a process that has imported nothing; the supervisor
    decides when. Raises UnpreparedError, also in place of SystemExit.
    """
    settings = AgentSettings.load()
    redact_job_logs(settings.agent.entrypoint)
    _lead_programs()
    try:
        _programs[proc] = _prepare(proc, settings)
    except BaseException as error:
        raise _report_failure(error, settings.job_socket) from None
    report_now(settings.job_socket, "prepared", runners=registered_runners())


def _lead_programs() -> None:
    """Make all programs that this process will start recognizable, so that they end with it.

    The leader of a process group cannot start a session (setsid(2)); a process of the fork server is none.
    """
    with suppress(PermissionError):
        os.setsid()
    mark_programs(os.getpid())


def _prepare(proc: JobProcess, settings: AgentSettings) -> Program:
    if not settings.agent.entrypoint:
        from voicesession_agent.assistant import assistant  # noqa: PLC0415 - a user's own agent does not need it

        assistant.prewarm(proc, settings.agent)
        return Program(lambda ctx, services: assistant.run(ctx, services, settings.agent))
    loaded = entrypoints.load(settings.agent.entrypoint)
    if loaded.prewarm is not None:
        loaded.prewarm(proc)
    return Program(lambda ctx, services: _run_own(ctx, services, loaded), loaded.session_end)


async def _run_own(ctx: JobContext, services: JobServices, loaded: entrypoints.Entrypoint) -> None:
    """Run a user's entry point, which needs no code for humans who leave and come back, and no key of LiveKit."""
    try:
        use_room_token((await services.supervisor.job_facts()).admin_token)
    except (aiohttp.ClientError, TimeoutError):
        log.warning("no token for LiveKit's API", extra={"event": "no_room_token"})
    SessionLink(ctx.room, lambda: find_session(ctx))
    await loaded.run(ctx)


async def entrypoint(ctx: JobContext) -> None:
    """Run one job until it is removed from the room, dismissed or done."""
    settings = AgentSettings.load()
    client = SupervisorClient(settings.job_socket, launch_of(ctx.job.id))
    reporter = RoomReporter(ctx.room, client)
    latency = LatencyReporter(reporter.report)
    health = HealthMonitor(ctx.room, client, reporter.can_join, lambda: find_session(ctx), latency.watch)
    shutdown = JobShutdown(ctx, client, reporter, settings.shutdown_seconds)
    watch_own_end(ctx.room, lambda: find_session(ctx), shutdown.end_session, shutdown.delete_room)
    heartbeats = asyncio.create_task(health.run())

    async def close() -> None:
        heartbeats.cancel()
        await asyncio.gather(heartbeats, return_exceptions=True)
        await shutdown.close()
        await reporter.close()
        await client.close()

    ctx.add_shutdown_callback(close)
    hear_unnamed_microphones()
    await shutdown.run(_programs[ctx.proc].run(ctx, JobServices(client, reporter, health, shutdown)))


async def on_session_end(ctx: JobContext) -> None:
    """Call the author's own `on_session_end`; livekit-agents calls this function once, when the session has closed."""
    session_end = _programs[ctx.proc].session_end
    if session_end is not None:
        await session_end(ctx)


def _report_failure(error: BaseException, job_socket: str) -> UnpreparedError:
    """Report and log the failure of a preparation without secrets, and return the error that ends the process."""
    text = conceal_secrets(str(error) if isinstance(error, ValueError) else entrypoints.describe(error))
    failure, cause = UnpreparedError(text), error.__cause__ or error
    extra = {"event": "prepare_failed"}
    log.error("cannot prepare", exc_info=failure.with_traceback(cause.__traceback__), extra=extra)
    report_now(job_socket, "unprepared", text=text, pid=os.getpid())
    return failure
