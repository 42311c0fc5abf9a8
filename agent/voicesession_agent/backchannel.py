"""The supervisor's side of the unix socket of its jobs: they get facts and report back, and hold no key of memory."""

from typing import Any

from aiohttp import web

from voicesession_agent.bulletin import Bulletin
from voicesession_agent.capture import Lost
from voicesession_agent.memory import MemoryBackendError, Turn, digest
from voicesession_agent.recollection import Recollection
from voicesession_agent.reports import Reports
from voicesession_agent.supervisor import Supervisor
from voicesession_agent.telemetry import Metrics


class Backchannel:
    """GET /job (facts, blocks), GET /leave (answers when the job shall go), POST /report, /turn, /remember."""

    def __init__(
        self, supervisor: Supervisor, recollection: Recollection, metrics: Metrics, bulletin: Bulletin
    ) -> None:
        self._supervisor = supervisor
        self._bulletin = bulletin
        self._recollection = recollection
        self._reports = Reports(supervisor, recollection.someone_speaks, metrics.answered, self._turn_lost)
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
            ]
        )
        return app

    async def _job(self, _: web.Request) -> web.Response:
        state, blocks = self._supervisor.state, self._recollection.blocks
        return web.json_response(
            {
                "greeted": sorted(state.greeted),
                "idleSeconds": state.wanted.idle_seconds if state.wanted else 0,
                "memory": {
                    "hash": digest(blocks),
                    "blocks": [{"label": b.label, "value": b.value, "description": b.description} for b in blocks],
                    "remembers": self._recollection.remembers,
                },
            }
        )

    async def _leave(self, request: web.Request) -> web.Response:
        how = await self._supervisor.departure(int(request.query["launch"]))
        return web.json_response({how: True})

    async def _turn(self, request: web.Request) -> web.Response:
        """A turn whose answer was lost is handed over again, at once: it is known by its job and number."""
        raw = await request.json()
        this = (raw.get("launch"), raw.get("number"))
        if this != self._last_turn or None in this:
            self._recollection.heard(Turn(user=str(raw["user"]), assistant=str(raw["assistant"])))
        self._last_turn = this
        return web.json_response({})

    def _turn_lost(self) -> None:
        self._recollection.turns.lose(Lost.UNDELIVERED)

    async def _remember(self, request: web.Request) -> web.Response:
        """Answer why it could not be remembered, in words for a language model; nothing when it is."""
        try:
            await self._recollection.remember(str((await request.json())["fact"]))
        except MemoryBackendError as fault:
            return web.json_response({"fault": str(fault)})
        return web.json_response({"fault": ""})

    async def _report(self, request: web.Request) -> web.Response:
        report: dict[str, Any] = await request.json()
        try:
            await self._reports.take(report)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise web.HTTPBadRequest from error
        self._bulletin.published()
        return web.json_response({})
