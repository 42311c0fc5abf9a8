"""A simulation of LiveKit's room service and of the control ports of many agent pods; no part of either.

`python -m tests.bench.simulation FILE LIVEKIT_PORT` serves the sessions in FILE, a list of the fields of
`SimulatedSession`. The pods share one socket: each has an address of its own in 127.0.0.0/8.
"""

import asyncio
import json
import resource
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from livekit import api
from livekit.protocol import models
from voicesession_common.api.constants import CONTROL_PORT

from tests.support.cluster import webhooks
from tests.support.cluster.rooms import Key

KEY = Key("simulation", "simulation-secret-of-more-than-32-bytes")
PROTOBUF = "application/protobuf"
TWIRP = "/twirp/livekit.RoomService/"
WEBHOOK_SECONDS = 0.02
"""Time from a leave until LiveKit's webhook, as measured on a live server."""
TOKEN_SECONDS = 1e6


@dataclass
class SimulatedSession:
    """A live session with one human, until they leave."""

    room: str
    metadata: str
    session_uid: str
    pod_uid: str
    ip: str
    identity: str
    human: bool = True
    left_at: float | None = None
    version: int = 1
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def leave(self) -> None:
        """Remove the human, and wake the requests that wait at the pod."""
        self.human, self.left_at, self.version = False, time.time(), self.version + 1
        self.changed.set()

    def state(self) -> dict[str, Any]:
        """Return the JSON of the pod's control port."""
        left = {"identity": "alice", "reason": "CLIENT_INITIATED", "at": self.left_at}
        return {
            "podUID": self.pod_uid,
            "state": "Bound",
            "sessionUID": self.session_uid,
            "epoch": 1,
            "tokenExpiresAt": time.time() + TOKEN_SECONDS,
            "job": {
                "state": "Running",
                "participantSID": f"PA_{self.room}",
                "participantEpoch": "1",
                "restarts": 0,
                "epoch": 1,
            },
            "health": {"state": "Ok", "message": ""},
            "humans": ["alice"] if self.human else [],
            "lastHumanLeft": left if self.left_at else None,
            "memory": {"agentID": "", "state": "Off", "message": ""},
            "timings": {},
        }

    def info(self) -> models.Room:
        """Return the room as ListRooms shows it; LiveKit does not count agents."""
        return models.Room(
            name=self.room, sid=f"RM_{self.room}", metadata=self.metadata, num_participants=int(self.human)
        )

    def participants(self) -> list[models.ParticipantInfo]:
        """Return the agent, and the human while they are in the room."""
        state, kind = models.ParticipantInfo.State.ACTIVE, models.ParticipantInfo.Kind
        attributes = {"voicesession.role": "agent", "voicesession.epoch": "1"}
        agent = models.ParticipantInfo(
            identity=self.identity, sid=f"PA_{self.room}", state=state, kind=kind.AGENT, attributes=attributes
        )
        agent.permission.agent = True
        human = models.ParticipantInfo(identity="alice", sid=f"PA_alice_{self.room}", state=state, kind=kind.STANDARD)
        return [agent, human] if self.human else [agent]


class Simulation:
    """The HTTP handlers; `calls` counts requests by name, `asked` has the pods that were asked since the last reset."""

    def __init__(self, sessions: list[SimulatedSession]) -> None:
        self.rooms = {session.room: session for session in sessions}
        self.pods = {session.ip: session for session in sessions}
        self.calls: dict[str, int] = {}
        self.asked: set[str] = set()

    def _count(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1

    async def twirp(self, request: web.Request) -> web.Response:
        """Answer a call of the room service."""
        method, body = request.match_info["method"], await request.read()
        self._count(method)
        answer = self._answer(method, body)
        if answer is None:
            return web.json_response({"code": "not_found", "msg": "no such room"}, status=404)
        return web.Response(body=answer.SerializeToString(), content_type=PROTOBUF)

    def _answer(self, method: str, body: bytes) -> Any:
        match method:
            case "ListRooms":
                names = api.ListRoomsRequest.FromString(body).names or list(self.rooms)
                return api.ListRoomsResponse(rooms=[self.rooms[name].info() for name in names if name in self.rooms])
            case "ListParticipants":
                found = self.rooms.get(api.ListParticipantsRequest.FromString(body).room)
                return found and api.ListParticipantsResponse(participants=found.participants())
            case "CreateRoom":
                name = api.CreateRoomRequest.FromString(body).name
                return self.rooms[name].info() if name in self.rooms else models.Room(name=name)
            case "DeleteRoom":
                known = self.rooms.pop(api.DeleteRoomRequest.FromString(body).room, None)
                return known and api.DeleteRoomResponse()
        return None

    async def pod(self, request: web.Request) -> web.Response:
        """Answer a pod's GET (a long poll if it asks to wait) or PUT."""
        address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
        session = self.pods.get(address)
        if session is None:
            return web.json_response({"reason": "no pod"}, status=404)
        self.asked.add(session.pod_uid)
        wait = request.headers.get("Prefer", "").partition("wait=")[2]
        self._count(f"{request.method} state{' (long poll)' if wait else ''}")
        await request.read()
        if wait and request.headers.get("If-None-Match") == f'"{session.version}"':
            session.changed.clear()
            try:
                await asyncio.wait_for(session.changed.wait(), float(wait))
            except TimeoutError:
                return web.Response(status=304, headers={"ETag": f'"{session.version}"'})
        return web.json_response(session.state(), headers={"ETag": f'"{session.version}"'})

    async def leave(self, request: web.Request) -> web.Response:
        """Let a human leave; with `webhook`, report it to that URL. Answer with the time of the leave."""
        session, url = self.rooms[request.query["room"]], request.query.get("webhook", "")
        session.leave()
        if url:
            await asyncio.sleep(WEBHOOK_SECONDS)
            body = leave_webhook(session)
            async with ClientSession() as client, client.post(url, data=body, headers=webhooks.headers(body, KEY)):
                pass
        return web.json_response({"at": session.left_at})

    async def counts(self, request: web.Request) -> web.Response:
        """Answer with the counts; with `reset`, start them anew."""
        found = {"calls": self.calls, "asked": len(self.asked)}
        if "reset" in request.query:
            self.calls, self.asked = {}, set()
        return web.json_response(found)


def leave_webhook(session: SimulatedSession) -> bytes:
    """Return the body of LiveKit's webhook about the leave."""
    participant = {
        "identity": "alice",
        "sid": f"PA_alice_{session.room}",
        "state": "DISCONNECTED",
        "disconnectReason": "CLIENT_INITIATED",
    }
    body = {
        "event": "participant_left",
        "id": f"EV_{uuid.uuid4().hex}",
        "createdAt": str(int(session.left_at or 0)),
        "room": {"name": session.room, "sid": f"RM_{session.room}"},
        "participant": participant,
    }
    return json.dumps(body).encode()


async def serve(sessions: list[SimulatedSession], livekit_port: int) -> None:
    """Serve until canceled."""
    simulation = Simulation(sessions)
    livekit, pods = web.Application(), web.Application()
    livekit.router.add_post(TWIRP + "{method}", simulation.twirp)
    livekit.router.add_post("/simulation/leave", simulation.leave)
    livekit.router.add_get("/simulation/counts", simulation.counts)
    pods.router.add_route("*", "/v1/state", simulation.pod)
    for app, host, port in ((livekit, "127.0.0.1", livekit_port), (pods, "0.0.0.0", CONTROL_PORT)):  # noqa: S104  pods are 127.0.0.0/8
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loaded = [SimulatedSession(**raw) for raw in json.loads(Path(sys.argv[1]).read_text())]
    asyncio.run(serve(loaded, int(sys.argv[2])))
