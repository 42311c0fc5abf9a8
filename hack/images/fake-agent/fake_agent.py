"""An agent pod without media: the real states of the control port, and a participant without tracks."""

import asyncio
import base64
import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from aiohttp import web
from livekit import rtc
from voicesession_agent.metrics import Metrics, metrics_app
from voicesession_agent.supervisor.control_auth import RefusedError, Verifier
from voicesession_agent.supervisor.desired_state import MalformedError, parse
from voicesession_agent.supervisor.pod_state import HumanLeft, JobPhase, OtherSessionError, PodState

REJOIN_SECONDS = 1.0
HANDOVER_SECONDS = 20.0
POLL_SECONDS = 0.05
ROLE = "voicesession.role"


class FakeAgent:
    """Joins a room immediately after the desired state arrives; never with `FAKE_AGENT_JOIN=never`.

    `FAKE_AGENT_RESET_SECONDS` delays every join except the first.
    """

    def __init__(self, environ: dict[str, str], now: float) -> None:
        self.state = PodState(environ["VOICESESSION_POD_UID"], process_started=now)
        self.state.prepared(now)
        self._joins = environ.get("FAKE_AGENT_JOIN") != "never"
        self._reset_seconds = float(environ.get("FAKE_AGENT_RESET_SECONDS", "0"))
        self._url = environ["LIVEKIT_URL"]
        public_key = base64.b64decode(environ["VOICESESSION_CONTROL_PUBLIC_KEY"])
        self._verifier = Verifier(public_key, self.state.pod_uid)
        self._room = rtc.Room()
        self._changed = asyncio.Event()
        self.stopping = asyncio.Event()

    def metrics(self) -> Metrics:
        """Create the metrics of an agent pod."""
        metrics = Metrics()
        metrics.watch(
            backlog=lambda: 0,
            memory_ok=lambda: 1,
            humans=lambda: len(self.state.humans),
            joined=lambda: self.state.job is JobPhase.JOINED,
            problem=lambda: None,
        )
        return metrics

    def app(self) -> web.Application:
        """Create the control port."""
        app = web.Application()
        app.router.add_get("/healthz", self._ok)
        app.router.add_get("/readyz", self._ok)
        app.router.add_get("/v1/state", self._get_state)
        app.router.add_put("/v1/state", self._put_state)
        return app

    async def run(self) -> None:
        """Follow the desired state: stay in the room, rejoin after a removal, leave and rejoin for a reset."""
        while not self.stopping.is_set():
            await self._changed.wait()
            self._changed.clear()
            if self.state.ended:
                await self._room.disconnect()
                self.state.job_exited()
            elif self._joins and not (self._room.isconnected() and self.state.accepts(self.state.launches)):
                await self._join()

    async def hand_over(self) -> None:
        """Stay with a human until the agent of the replacement has joined, as a real pod does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDOVER_SECONDS):
                while self.state.is_in_conversation:  # noqa: ASYNC110 - the state has no event
                    await asyncio.sleep(POLL_SECONDS)

    async def leave(self) -> None:
        """Leave the room."""
        await self._room.disconnect()

    async def _join(self) -> None:
        desired = self.state.desired
        if desired is None:
            return
        if self.state.launches:
            await asyncio.sleep(self._reset_seconds)
        self.state.job_starts()
        previous, self._room = self._room, rtc.Room()
        await previous.disconnect()
        room = self._room
        room.on("participant_connected", self._on_participant_connected)
        room.on("participant_disconnected", self._on_participant_disconnected)
        room.on("disconnected", lambda _: self._on_disconnected(room))
        try:
            await room.connect(desired.room_url or self._url, desired.token, rtc.RoomOptions(auto_subscribe=False))
        except rtc.ConnectError:
            self._on_disconnected(room)
            return
        self.state.job_joined(room.local_participant.sid, time.time(), time.monotonic())
        log("agent joined", epoch=self.state.job_epoch)
        self._update_humans()

    def _on_disconnected(self, room: rtc.Room) -> None:
        """Handle the end of a connection; ignore a connection that a reset has replaced."""
        if room is not self._room:
            return
        self.state.job_exited()
        if not self.stopping.is_set():
            asyncio.get_running_loop().call_later(REJOIN_SECONDS, self._changed.set)

    def _update_humans(self) -> None:
        humans = (p.identity for p in self._room.remote_participants.values() if p.attributes.get(ROLE) == "human")
        self.state.set_humans(tuple(humans), time.time())

    def _on_participant_connected(self, participant: rtc.RemoteParticipant) -> None:
        self._update_humans()
        if participant.attributes.get(ROLE) == "human":
            self.state.active_at = time.time()

    def _on_participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.attributes.get(ROLE) == "human":
            reason = rtc.DisconnectReason.Name(participant.disconnect_reason or rtc.DisconnectReason.UNKNOWN_REASON)
            self.state.human_left(HumanLeft(participant.identity, reason, time.time()))

    async def _ok(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _get_state(self, request: web.Request) -> web.Response:
        return await self._answer(request, b"")

    async def _put_state(self, request: web.Request) -> web.Response:
        return await self._answer(request, await request.read())

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        try:
            self._verifier.check(request.headers.get("Authorization"), request.method, request.path, body)
            if request.method == "PUT":
                self.state.set_desired_state(parse(body), time.time(), time.monotonic())
                self._changed.set()
        except RefusedError as refused:
            return web.json_response({"reason": refused.reason}, status=401)
        except MalformedError as malformed:
            return web.json_response({"reason": str(malformed)}, status=400)
        except OtherSessionError:
            return web.json_response({"reason": "bound to another session"}, status=409)
        return web.json_response(self.state.render())


def log(message: str, **fields: Any) -> None:
    """Write a JSON log line."""
    print(json.dumps({"message": message, "time": time.time(), **fields}), file=sys.stderr, flush=True)


async def main() -> None:
    """Serve the control port and the metrics until SIGTERM."""
    agent = FakeAgent(dict(os.environ), time.time())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, agent.stopping.set)
    runners = web.AppRunner(agent.app()), web.AppRunner(metrics_app(agent.metrics()))
    for runner, name in zip(runners, ("VOICESESSION_CONTROL_PORT", "VOICESESSION_METRICS_PORT"), strict=True):
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", int(os.environ[name])).start()  # noqa: S104  inside a pod
    running = loop.create_task(agent.run())
    await agent.stopping.wait()
    await agent.hand_over()
    running.cancel()
    await agent.leave()
    for runner in runners:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
