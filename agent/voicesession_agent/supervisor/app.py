"""Composition root of the agent pod: constructs state, control port, jobs and memory, and shuts them down in order."""

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp import web

from voicesession_agent.memory.backend import (
    InstrumentedBackend,
    MemoryAddress,
    MemoryCall,
    MemoryOutcome,
    MemoryPhase,
)
from voicesession_agent.memory.facts import EditOutcome, MemoryEdit
from voicesession_agent.memory.letta import LettaBackend
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.metrics import Metrics, metrics_app, process_started_at
from voicesession_agent.settings import AgentSettings
from voicesession_agent.supervisor.control_auth import Verifier
from voicesession_agent.supervisor.control_server import ControlServer, StateChanges, start_runner
from voicesession_agent.supervisor.job_pool import JobPool
from voicesession_agent.supervisor.job_programs import reap_orphans
from voicesession_agent.supervisor.job_server import JobServer
from voicesession_agent.supervisor.pod_state import CaptureStatus, JobPhase, PodState
from voicesession_agent.supervisor.pod_traces import PodTraces
from voicesession_agent.supervisor.reset import JobTimings
from voicesession_agent.supervisor.supervisor import GaveUpError, Supervisor
from voicesession_agent.tracing import AgentTracing

FLUSH_SECONDS: Final = 2.0
"""Time to send the last turns, as long as a busy Letta takes. Without waiting turns it takes no time."""
SHUTDOWN_SECONDS: Final = 0.5
"""Time for everything else. With HANDOVER_SECONDS and the time of the shutdown callbacks it fits into the pod's grace
period."""
HANDOVER_SECONDS: Final = 20.0
"""Time in which the replacement of an ending pod joins the room: 1 s with a warm pod, and 5 s with a cold one on idle
cores, several times that on busy ones."""
log = logging.getLogger(__name__)


class SupervisorApp:
    """The supervisor's process, from start to exit."""

    def __init__(self, settings: AgentSettings, jobs: JobPool) -> None:
        self._settings = settings
        self._jobs = jobs
        self._metrics = Metrics()
        self._tracing = AgentTracing()
        self._traces = PodTraces(self._tracing, time.time)
        self._state = PodState(settings.pod_uid, process_started_at(), prepare_trouble=settings.trouble)
        self._changes = StateChanges(self._state)
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGTERM, or until no job can be kept alive. Return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGCHLD, reap_orphans)
        async with aiohttp.ClientSession() as http:
            memory_sync = MemorySync(
                lambda address: self._memory(address, http),
                self._on_turn_lost,
                self._on_turn_repeated,
                edited=self._on_memory_edit,
            )
            supervisor = Supervisor(
                self._state,
                self._jobs,
                self._metrics,
                memory_sync,
                time.time,
                self._traces,
                self._changes.notify,
                JobTimings(shutdown_seconds=self._settings.shutdown_seconds),
            )
            self._watch(memory_sync)
            sites = await self._serve(supervisor, memory_sync)
            code = await self._run_until_stopped(supervisor, memory_sync)
            await supervisor.close()
            self._changes.notify()
            await asyncio.gather(memory_sync.flush(FLUSH_SECONDS), self._tracing.close(SHUTDOWN_SECONDS))
            for site in sites:
                await site.cleanup()
        log.info("stopped", extra={"event": "stopped", "exitcode": code})
        return code

    async def _serve(self, supervisor: Supervisor, memory_sync: MemorySync) -> list[web.AppRunner]:
        verifier = Verifier(self._settings.public_key, self._settings.pod_uid)
        port = ControlServer(self._state, verifier, self._metrics, supervisor.set_desired_state, self._changes)
        control = await start_runner(port.app(), SHUTDOWN_SECONDS)
        await web.TCPSite(control, port=self._settings.control_port).start()
        jobs = await start_runner(
            JobServer(supervisor, memory_sync, self._metrics, self._changes).app(), SHUTDOWN_SECONDS
        )
        await web.UnixSite(jobs, self._settings.job_socket).start()
        metrics = await start_runner(metrics_app(self._metrics), SHUTDOWN_SECONDS)
        await web.TCPSite(metrics, port=self._settings.metrics_port).start()
        log.info("listening", extra={"event": "listening", "port": self._settings.control_port, "at": time.time()})
        settings = self._settings
        await asyncio.to_thread(self._tracing.connect, settings.otlp_endpoint, settings.pod_uid, settings.agent.name)
        return [control, jobs, metrics]

    async def _run_until_stopped(self, supervisor: Supervisor, memory_sync: MemorySync) -> int:
        """Run all parts until one ends, except memory, which no job needs. Only the stop signal gives exit code 0."""
        memory = asyncio.create_task(memory_sync.run())
        memory.add_done_callback(_log_memory_failure)
        parts = [asyncio.create_task(supervisor.run())]
        if not self._settings.trouble:
            parts.append(asyncio.create_task(self._jobs.run(self._on_process_lost, self._on_job_failed)))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stop, *parts), return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stop.done() else 1
        if stop.done():
            await self._hand_over()
        for part in parts:
            if part.done() and code:
                _log_failure(part)
        await _cancel([stop, memory, parts[0]])
        return code

    async def _hand_over(self) -> None:
        """Stay in a conversation until the agent of the pod's replacement joins, for HANDOVER_SECONDS at most.

        LiveKit then disconnects this pod's job, because both have the same identity.
        """
        if not self._state.is_in_conversation:
            return
        log.info("waits for a replacement", extra={"event": "hands_over", "limit": HANDOVER_SECONDS})
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDOVER_SECONDS):
                while self._state.is_in_conversation:
                    await self._changes.wait_for_change(self._changes.tag(), HANDOVER_SECONDS)

    def _watch(self, memory_sync: MemorySync) -> None:
        ok = (MemoryPhase.NONE, MemoryPhase.OK)
        self._metrics.watch(
            backlog=lambda: len(memory_sync.turns),
            memory_ok=lambda: memory_sync.status.phase in ok,
            humans=lambda: len(self._state.humans),
            joined=lambda: self._state.job is JobPhase.JOINED,
            problem=lambda: None if self._state.diagnosis is None else self._state.diagnosis.problem,
        )
        self._state.memory_status = lambda: memory_sync.reported_status
        turns = memory_sync.turns
        self._state.capture_status = lambda: CaptureStatus(len(turns), turns.lost, turns.repeated)

    def _on_process_lost(self, pid: int, text: str) -> None:
        if self._state.process_lost(text, pid):
            log.error("cannot serve", extra={"event": "trouble", "reason": text})
        self._changes.notify()

    def _on_job_failed(self, launch: int, text: str) -> None:
        """Show how the current job's process failed, unless the job itself has reported a problem."""
        if self._state.accepts(launch) and not self._state.job_trouble:
            log.error("job in trouble", extra={"event": "job_trouble", "reason": text})
            self._state.job_trouble = text
            self._changes.notify()

    def _memory(self, address: MemoryAddress, http: aiohttp.ClientSession) -> InstrumentedBackend:
        return InstrumentedBackend(LettaBackend(address, http), self._observe_memory_call)

    def _observe_memory_call(self, call: MemoryCall, outcome: MemoryOutcome, seconds: float) -> None:
        self._metrics.observe_memory_call(call, outcome, seconds)
        self._traces.observe_memory_call(call, outcome, seconds)

    def _on_memory_edit(self, edit: MemoryEdit, outcome: EditOutcome) -> None:
        self._metrics.memory_edits.labels(edit.value, outcome.value).inc()
        if outcome is not EditOutcome.OK:
            extra = {"event": "memory_edit_failed", "cause": edit.value, "outcome": outcome.value}
            log.warning("an edit of memory failed", extra=extra)

    def _on_turn_lost(self, reason: DropReason) -> None:
        self._metrics.turns_lost.labels(reason.value).inc()
        log.warning("a turn was lost", extra={"event": "turn_lost", "reason": reason.value})

    def _on_turn_repeated(self) -> None:
        self._metrics.turns_repeated.inc()
        log.warning("a turn is sent again", extra={"event": "turn_repeated"})


async def _cancel(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_memory_failure(memory: asyncio.Task[None]) -> None:
    if not memory.cancelled() and (error := memory.exception()) is not None:
        log.error("memory ended", exc_info=error, extra={"event": "memory_ended"})


def _log_failure(part: asyncio.Task[None]) -> None:
    error = part.exception()
    if isinstance(error, GaveUpError):
        log.error("no job of this pod works; the pod must be replaced", extra={"event": "gave_up"})
    else:
        log.error("a part of the supervisor ended", exc_info=error, extra={"event": "part_ended"})
