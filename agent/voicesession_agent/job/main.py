"""Inside a job process: load the models once, run one conversation, whoever wrote it, keep the supervisor told."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final
from weakref import WeakKeyDictionary

from livekit.agents import JobContext, JobProcess

from voicesession_agent.job import entrypoint as entrypoints
from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.services import JobServices
from voicesession_agent.job.shutdown import JobShutdown
from voicesession_agent.job.supervisor_client import SupervisorClient, report_now
from voicesession_agent.latency import Latencies
from voicesession_agent.settings import Settings
from voicesession_agent.supervisor.job_pool import launch_of

Run = Callable[[JobContext, JobServices], Coroutine[Any, Any, None]]

_runs: Final[WeakKeyDictionary[JobProcess, Run]] = WeakKeyDictionary()
"""What each prepared process will run; kept out of `userdata`, which belongs to the agent's author."""
log = logging.getLogger(__name__)


def prewarm(proc: JobProcess) -> None:
    """Never raises: livekit-agents would start failing processes in a tight loop, and nobody would be told why."""
    settings = Settings.load()
    try:
        _runs[proc] = _prepare(proc, settings)
    except Exception as error:
        log.exception("cannot prepare", extra={"event": "prepare_failed"})
        report_now(settings.job_socket, "unprepared", text=_told(error))
    else:
        report_now(settings.job_socket, "prepared")


def _prepare(proc: JobProcess, settings: Settings) -> Run:
    if not settings.agent.entrypoint:
        from voicesession_agent.assistant import assistant  # noqa: PLC0415 - a user's own agent needs none of it

        assistant.prewarm(proc, settings.agent)
        return assistant.run
    found = entrypoints.load(settings.agent.entrypoint)
    if found.prewarm is not None:
        found.prewarm(proc)
    return lambda ctx, _: found.run(ctx)


async def entrypoint(ctx: JobContext) -> None:
    """One job: join with the operator's token and stay until put out, told to leave, or done."""
    link = SupervisorClient(Settings.load().job_socket, launch_of(ctx.job.id))
    presence = RoomReporter(ctx.room, link)
    signs = HealthMonitor(ctx.room, link, lambda: ctx._primary_agent_session, Latencies(presence.report).watch)
    departures = JobShutdown(ctx, link, presence)
    beating = asyncio.create_task(signs.run())

    async def close() -> None:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await departures.close()
        await presence.close()
        await link.close()

    ctx.add_shutdown_callback(close)
    await departures.during(_runs[ctx.proc](ctx, JobServices(link, presence, signs, departures)))


def _told(error: Exception) -> str:
    """What a person reads in the pod's state; errors raised on purpose already say it all."""
    plain = isinstance(error, entrypoints.EntrypointError | ValueError)
    return str(error) if plain else f"{type(error).__name__}: {error}"
