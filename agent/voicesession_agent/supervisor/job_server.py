"""The supervisor's HTTP server for its jobs, on a Unix socket. Jobs get facts and send reports, but no API key."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from voicesession_agent.health.diagnosis import HealthReport, diagnose
from voicesession_agent.memory.backend import MemoryBackendError, Turn, digest
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.metrics import Metrics
from voicesession_agent.protocol import SUMMARY_CHARACTERS, JobFacts, Message, parse_history
from voicesession_agent.supervisor.control_server import StateChanges
from voicesession_agent.supervisor.job_run import ExitCause
from voicesession_agent.supervisor.pod_state import HumanLeft
from voicesession_agent.supervisor.supervisor import Supervisor

GONE_WITH_ROOM: Final = frozenset({"ROOM_DELETED", "ROOM_CLOSED", "SERVER_SHUTDOWN"})
RUNNERS: Final = 16
"""Most inference runners of an agent; LiveKit's plug-ins register two."""
DUPLICATE: Final = "DUPLICATE_IDENTITY"
log = logging.getLogger(__name__)


class UnknownReportError(ValueError):
    """The kind of the report is unknown."""


class Reports:
    """Applies the reports of jobs to the pod's state.

    `spoken` is called when a human joins or starts to speak, `answered` with the seconds of each stage of a response,
    and `turn_lost` for each turn that a job could not deliver.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        spoken: Callable[[], None],
        answered: Callable[[dict[str, float]], None],
        turn_lost: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._supervisor = supervisor
        self._state = supervisor.state
        self._spoken = spoken
        self._answered = answered
        self._turn_lost = turn_lost
        self._clock = clock

    async def handle(self, report: dict[str, Any]) -> None:
        """Apply one report. Raises AttributeError, KeyError, TypeError or ValueError if it is malformed."""
        launch = int(report.get("launch", 0))
        match report["kind"]:
            case "prepared":
                await self._supervisor.prepared(list(map(str, report.get("runners", ())))[:RUNNERS])
            case "unprepared":
                self._set_prepare_problem(str(report["text"]), int(report["pid"]))
            case "background_cancelled":
                self._background_cancelled(launch, int(report["ms"]), int(report["tools"]))
            case "turn_lost":
                self._turn_lost()
            case "dismissed":
                self._supervisor.job_answered(launch)
            case "latency":
                self._observe_latency(launch, report)
            case kind:
                self._from_job(launch, kind, report)

    def _from_job(self, launch: int, kind: str, report: dict[str, Any]) -> None:
        match kind:
            case "joined":
                self._supervisor.joined(launch, str(report["sid"]))
            case "refused":
                self._supervisor.out_of_room(launch, ExitCause.REFUSED, left=False)
            case "gone":
                self._gone(launch, str(report["reason"]))
            case "left":
                left = HumanLeft(str(report["identity"]), str(report["reason"]), float(report["at"]))
                self._human_left(launch, left)
            case "beat":
                self._beat(launch, HealthReport.from_json(report["health"]))
            case _:
                change = self._change(kind, report)
                if self._state.accepts(launch):
                    change()

    def _change(self, kind: str, report: dict[str, Any]) -> Callable[[], None]:
        """Return the change for a report that is valid only from the current job."""
        match kind:
            case "trouble":
                return lambda: self._set_job_problem(str(report["text"]))
            case "humans":
                identities = tuple(map(str, report["identities"]))
                return lambda: self._set_humans(identities)
            case "active":
                return self._active
            case "ended":
                return self._agent_ended
            case "greeted":
                return lambda: self._state.greeted.add(str(report["identity"]))
            case "history" | "summary":
                kept = _conversation_part(kind, report)
                return lambda: setattr(self._state, kind, kept)
        raise UnknownReportError

    def _observe_latency(self, launch: int, report: dict[str, Any]) -> None:
        seconds = {str(name): float(value) for name, value in report["seconds"].items()}
        spoke_at = report.get("spoke_at")
        self._answered(seconds)
        if self._state.accepts(launch):
            self._supervisor.traces.observe_response(seconds, None if spoke_at is None else float(spoke_at))

    def _set_humans(self, identities: tuple[str, ...]) -> None:
        self._state.set_humans(identities, self._clock())
        if identities:
            self._supervisor.traces.met()

    def _set_prepare_problem(self, text: str, pid: int) -> None:
        """Record a problem that no job of this process can solve."""
        if text != self._state.prepare_trouble:
            log.error("cannot serve", extra={"event": "trouble", "reason": text})
        self._state.unprepared(text, pid)

    def _set_job_problem(self, text: str) -> None:
        """Record a problem of one job; the next job may succeed."""
        if text != self._state.job_trouble:
            log.error("job in trouble", extra={"event": "job_trouble", "reason": text})
        self._state.job_trouble = text

    def _agent_ended(self) -> None:
        """Record that the agent has ended its session. Its job ends by itself."""
        self._state.agent_ended()
        extra = {"event": "agent_ended", "launch": self._state.launches, "epoch": self._state.ended_epoch}
        log.info("the agent ended its session", extra=extra)

    def _background_cancelled(self, launch: int, ms: int, tools: int) -> None:
        extra = {"event": "background_cancelled", "launch": launch, "ms": ms, "tools": tools}
        log.info("background cancelled", extra=extra)

    def _gone(self, launch: int, reason: str) -> None:
        """Handle a job that left its room, for LiveKit's `reason`."""
        log.info("job left its room", extra={"event": "left", "launch": launch, "reason": reason})
        end = (
            ExitCause.REFUSED
            if reason in GONE_WITH_ROOM
            else ExitCause.SUPERSEDED
            if reason == DUPLICATE
            else ExitCause.DIED
        )
        self._supervisor.out_of_room(launch, end, left=True)

    def _human_left(self, launch: int, left: HumanLeft) -> None:
        """Record the leave. If the reset's desired state arrived first, only the log entry remains to be written."""
        if self._state.accepts(launch):
            self._state.human_left(left)
        if not self._state.humans:
            extra = {
                "event": "last_human_left",
                "reason": left.reason,
                "at": left.at,
                "ms": left.elapsed_ms(self._clock()),
            }
            log.info("last human left", extra=extra)

    def _beat(self, launch: int, health: HealthReport) -> None:
        self._supervisor.beat(launch, diagnose(health), failed=health.failed)
        if health.speaking and self._state.accepts(launch):
            self._state.active_at = self._clock()

    def _active(self) -> None:
        self._state.active_at = self._clock()
        self._spoken()


class JobServer:
    """GET /job (facts, blocks), GET /leave (responds when the job is dismissed), POST /report, /turn.

    POST /remember, /forget and /recall answer with a result, or with the fault of memory in words for a language model.
    """

    def __init__(
        self, supervisor: Supervisor, memory_sync: MemorySync, metrics: Metrics, changes: StateChanges
    ) -> None:
        self._supervisor = supervisor
        self._changes = changes
        self._memory_sync = memory_sync
        self._reports = Reports(supervisor, memory_sync.someone_speaks, metrics.observe_response, self._turn_lost)
        self._last_turn: tuple[Any, Any] = (None, None)

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/job", self._job),
                web.get("/leave", self._leave),
                web.post("/report", self._report),
                web.post("/turn", self._turn),
                web.post("/remember", self._remember),
                web.post("/forget", self._forget),
                web.post("/recall", self._recall),
            ]
        )
        return app

    async def _job(self, _: web.Request) -> web.Response:
        state, blocks = self._supervisor.state, self._memory_sync.blocks
        facts = JobFacts(
            greeted=frozenset(state.greeted),
            memory_hash=digest(blocks),
            blocks=blocks,
            remembers=self._memory_sync.remembers,
            recalls=self._memory_sync.recalls,
            idle_seconds=state.desired.idle_seconds if state.desired else 0,
            admin_token=state.desired.admin_token if state.desired else "",
            history=state.history,
            summary=state.summary,
        )
        return web.json_response(facts.to_json())

    async def _leave(self, request: web.Request) -> web.Response:
        dismissal = await self._supervisor.wait_until_dismissed(int(request.query["launch"]))
        return web.json_response({dismissal.value: True})

    async def _turn(self, request: web.Request) -> web.Response:
        """Queue a turn once. A job repeats a turn whose response was lost; job and number identify it."""
        raw = await request.json()
        this = (raw.get("launch"), raw.get("number"))
        if this != self._last_turn or None in this:
            self._memory_sync.heard(Turn(user=str(raw["user"]), assistant=str(raw["assistant"])))
        self._last_turn = this
        return web.json_response({})

    def _turn_lost(self) -> None:
        self._memory_sync.turns.lose(DropReason.UNDELIVERED)

    async def _remember(self, request: web.Request) -> web.Response:
        fact = str((await request.json())["fact"])
        return await _answer_memory(self._memory_sync.remember(fact))

    async def _forget(self, request: web.Request) -> web.Response:
        raw = await request.json()
        return await _answer_memory(self._memory_sync.forget(str(raw["fact"]), everything=bool(raw["everything"])))

    async def _recall(self, request: web.Request) -> web.Response:
        words = str((await request.json())["words"])
        return await _answer_memory(self._recalled(words))

    async def _recalled(self, words: str) -> list[list[str]]:
        return [[remark.at, remark.role, remark.text] for remark in await self._memory_sync.recall(words)]

    async def _report(self, request: web.Request) -> web.Response:
        report: dict[str, Any] = await request.json()
        try:
            await self._reports.handle(report)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise web.HTTPBadRequest from error
        self._changes.notify()
        return web.json_response({})


def _conversation_part(kind: str, report: dict[str, Any]) -> tuple[Message, ...] | str:
    """Return the history or the summary of a report, within its limits."""
    return parse_history(report["messages"]) if kind == "history" else str(report["text"])[:SUMMARY_CHARACTERS]


async def _answer_memory(call: Awaitable[Any]) -> web.Response:
    """Respond with the result, or with the error of memory."""
    try:
        return web.json_response({"fault": "", "result": await call})
    except MemoryBackendError as fault:
        return web.json_response({"fault": str(fault), "result": None})
