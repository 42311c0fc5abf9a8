"""The supervisor's side of the unix socket of its jobs: they get facts and report back, and hold no key of memory."""

from typing import Any

from aiohttp import web

from voicesession_agent.memory import Turn, digest
from voicesession_agent.recollection import Recollection
from voicesession_agent.state import HumanLeft
from voicesession_agent.supervisor import Supervisor


class Backchannel:
    """GET /job (facts, blocks), GET /leave (answers when the job shall go), POST /report, POST /turn."""

    def __init__(self, supervisor: Supervisor, recollection: Recollection) -> None:
        self._supervisor = supervisor
        self._recollection = recollection

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/job", self._job),
                web.get("/leave", self._leave),
                web.post("/report", self._report),
                web.post("/turn", self._turn),
            ]
        )
        return app

    async def _job(self, _: web.Request) -> web.Response:
        state, blocks = self._supervisor.state, self._recollection.blocks
        return web.json_response(
            {
                "launch": state.launches,
                "greeted": sorted(state.greeted),
                "memory": {
                    "hash": digest(blocks),
                    "blocks": [{"label": b.label, "value": b.value, "description": b.description} for b in blocks],
                },
            }
        )

    async def _leave(self, _: web.Request) -> web.Response:
        await self._supervisor.leave_wanted()
        return web.json_response({"leave": True})

    async def _turn(self, request: web.Request) -> web.Response:
        raw = await request.json()
        self._recollection.heard(Turn(user=str(raw["user"]), assistant=str(raw["assistant"])))
        return web.json_response({})

    async def _report(self, request: web.Request) -> web.Response:
        await self._take(await request.json())
        return web.json_response({})

    async def _take(self, report: dict[str, Any]) -> None:
        supervisor, launch = self._supervisor, int(report.get("launch", 0))
        match report["kind"]:
            case "prepared":
                await supervisor.prepared()
            case "unprepared":
                supervisor.cannot_prepare(str(report["text"]))
            case "trouble":
                supervisor.job_troubled(launch, str(report["text"]))
            case "joined":
                supervisor.joined(launch, str(report["sid"]))
            case "refused":
                supervisor.refused(launch)
            case "gone":
                supervisor.gone(launch, str(report["reason"]))
            case "humans":
                supervisor.humans(launch, tuple(map(str, report["identities"])))
            case "left":
                left = HumanLeft(str(report["identity"]), str(report["reason"]), float(report["at"]))
                supervisor.human_left(launch, left)
            case "greeted":
                supervisor.state.greeted.add(str(report["identity"]))
            case _:
                raise web.HTTPBadRequest
