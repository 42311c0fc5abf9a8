"""The functions that livekit-agents calls in a job process: load the models once, then run one conversation."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final
from weakref import WeakKeyDictionary

from livekit.agents import JobContext, JobProcess

from voicesession_agent.job import entrypoint as entrypoints
from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.humans import SessionLink
from voicesession_agent.job.room_reporter import LatencyReporter, RoomReporter
from voicesession_agent.job.shutdown import JobServices, JobShutdown, find_session
from voicesession_agent.job.supervisor_client import SupervisorClient, report_now
from voicesession_agent.protocol import launch_of
from voicesession_agent.settings import AgentSettings

Run = Callable[[JobContext, JobServices], Coroutine[Any, Any, None]]

_runs: Final[WeakKeyDictionary[JobProcess, Run]] = WeakKeyDictionary()
"""The conversation that each prewarmed process runs; not in `userdata`, which belongs to the agent's author."""
log = logging.getLogger(__name__)


def prewarm(proc: JobProcess) -> None:
    """Load the models or the user's entry point, and report the result to the supervisor.

    Failures are reported and never raised: livekit-agents restarts a failing process in a tight loop.
    """
    settings = AgentSettings.load()
    try:
        _runs[proc] = _prepare(proc, settings)
    except Exception as error:
        log.exception("cannot prepare", extra={"event": "prepare_failed"})
        report_now(settings.job_socket, "unprepared", text=_describe(error))
    else:
        report_now(settings.job_socket, "prepared")


def _prepare(proc: JobProcess, settings: AgentSettings) -> Run:
    if not settings.agent.entrypoint:
        from voicesession_agent.assistant import assistant  # noqa: PLC0415 - a user's own agent does not need it

        assistant.prewarm(proc, settings.agent)
        return lambda ctx, services: assistant.run(ctx, services, settings.agent)
    loaded = entrypoints.load(settings.agent.entrypoint)
    if loaded.prewarm is not None:
        loaded.prewarm(proc)
    return lambda ctx, _: _run_own(ctx, loaded)


async def _run_own(ctx: JobContext, loaded: entrypoints.Entrypoint) -> None:
    """Run a user's entry point, which needs no code for humans who leave and come back."""
    SessionLink(ctx.room, lambda: find_session(ctx))
    await loaded.run(ctx)


async def entrypoint(ctx: JobContext) -> None:
    """Run one job until it is removed from the room, dismissed or done."""
    client = SupervisorClient(AgentSettings.load().job_socket, launch_of(ctx.job.id))
    reporter = RoomReporter(ctx.room, client)
    latency = LatencyReporter(reporter.report)
    health = HealthMonitor(ctx.room, client, reporter.can_join, lambda: find_session(ctx), latency.watch)
    shutdown = JobShutdown(ctx, client, reporter)
    heartbeats = asyncio.create_task(health.run())

    async def close() -> None:
        heartbeats.cancel()
        await asyncio.gather(heartbeats, return_exceptions=True)
        await shutdown.close()
        await reporter.close()
        await client.close()

    ctx.add_shutdown_callback(close)
    await shutdown.run(_runs[ctx.proc](ctx, JobServices(client, reporter, health, shutdown)))


def _describe(error: Exception) -> str:
    """Return the error's text for the pod's state; the message of an expected error needs no type name."""
    expected = isinstance(error, entrypoints.EntrypointError | ValueError)
    return str(error) if expected else f"{type(error).__name__}: {error}"
