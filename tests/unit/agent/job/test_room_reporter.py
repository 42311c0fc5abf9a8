"""Reports of room events: their order, their retries and their loss."""

from typing import Any
from unittest.mock import create_autospec

import aiohttp
import pytest
from aiohttp import web
from livekit import rtc
from voicesession_agent.job.humans import SPEAKER_SECONDS
from voicesession_agent.job.room_reporter import TRIES, RoomReporter

from tests.support.fakes.room import AGENT, SIP, FakeRoom
from tests.support.http_server import serving


class FakeClient:
    """A supervisor that takes reports after the given faults."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.unreachable = False
        self.faults: list[Exception] = []

    async def report(self, kind: str, **facts: Any) -> None:
        if self.faults:
            raise self.faults.pop(0)
        if self.unreachable:
            raise aiohttp.ClientConnectionError
        self.reports.append((kind, facts))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.reports]


class ReporterScene:
    def __init__(self, delivery_seconds: float) -> None:
        self.room, self.client = FakeRoom(), FakeClient()
        room: Any = self.room
        client: Any = self.client
        self.now = 0.0
        self.reporter = RoomReporter(room, client, delivery_seconds, 0.0, lambda: self.now)


@pytest.fixture
async def scene() -> ReporterScene:
    return ReporterScene(delivery_seconds=1.0)


async def test_join_humans_and_end_are_reported_in_order(scene: ReporterScene) -> None:
    await scene.room.connect("ws://x", "t")
    scene.room.join("alice")
    scene.room.join("other", AGENT)
    scene.room.leave("alice")
    scene.room.emit("disconnected", rtc.DisconnectReason.DUPLICATE_IDENTITY)
    await scene.reporter.close()
    assert scene.client.kinds() == ["joined", "humans", "humans", "active", "humans", "left", "humans", "gone"]
    assert scene.client.reports[0][1] == {"sid": "PA_agent"}
    assert scene.client.reports[-1][1] == {"reason": "DUPLICATE_IDENTITY"}


async def test_changed_permission_reports_humans_again(scene: ReporterScene) -> None:
    alice: Any = scene.room.join("alice")
    alice.attributes, alice.permissions.can_update_metadata = {"voicesession.role": "observer"}, True
    scene.room.emit("participant_permissions_changed", alice, None, None)
    alice.permissions.can_update_metadata = False
    scene.room.emit("participant_permissions_changed", alice, None, None)
    await scene.reporter.close()
    humans = [facts["identities"] for kind, facts in scene.client.reports if kind == "humans"]
    assert humans == [["alice"], ["alice"], []]


async def test_phone_is_reported_after_the_answer(scene: ReporterScene) -> None:
    scene.room.join("phone", SIP, sip_callStatus="ringing")
    scene.room.speak("phone")
    scene.room.set_attributes("phone", sip_callStatus="active")
    scene.room.set_attributes("phone", sip_callStatus="hangup")
    scene.room.leave("phone")
    await scene.reporter.close()
    assert scene.client.kinds() == ["humans", "humans", "active", "humans", "left", "humans"]


async def test_rejected_call_is_no_visit(scene: ReporterScene) -> None:
    scene.room.join("phone", SIP, sip_callStatus="ringing")
    scene.room.set_attributes("phone", sip_callStatus="hangup")
    scene.room.leave("phone")
    await scene.reporter.close()
    assert scene.client.reports == [("humans", {"identities": []})] * 3


async def test_activity_is_reported_at_start_of_speech(scene: ReporterScene) -> None:
    """LiveKit's event lists only the participants whose level changed, and no silent one."""
    scene.room.join("alice")
    scene.room.speak("agent")
    for _ in range(10):
        scene.room.speak("alice")
        scene.room.speak("agent")
        scene.now += SPEAKER_SECONDS / 2
    scene.now += SPEAKER_SECONDS
    scene.room.speak("alice")
    await scene.reporter.close()
    assert scene.client.kinds() == ["humans", "active", "active", "active"]


async def test_activity_is_left_to_voice_detection_of_session(scene: ReporterScene) -> None:
    scene.reporter.leave_speech_to_session()
    scene.room.join("alice")
    scene.room.speak("alice")
    await scene.reporter.close()
    assert scene.client.kinds() == ["humans", "active"]


async def test_refused_join_is_reported_and_raised() -> None:
    async def refuse(*_: Any) -> None:
        raise rtc.ConnectError("404")

    room: Any = FakeRoom()
    room.connect = refuse
    client: Any = FakeClient()
    reporter = RoomReporter(room, client)
    with pytest.raises(rtc.ConnectError):
        await room.connect("ws://x", "t")
    await reporter.close()
    assert client.kinds() == ["trouble", "refused"]


@pytest.mark.parametrize(("status", "can_join"), [(200, True), (401, False), (404, False), (503, False)])
async def test_another_job_can_join_if_livekit_validates_the_token(
    scene: ReporterScene, status: int, can_join: bool
) -> None:
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers["Authorization"]))
        return web.Response(status=status)

    async with serving(answer) as server:
        await scene.room.connect(f"ws://127.0.0.1:{server.port}/", "room-token")
        assert await scene.reporter.can_join() is can_join
    assert asked == [("/rtc/validate", "Bearer room-token")]
    await scene.reporter.close()


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9", "wss://127.0.0.1:9", "nowhere"])
async def test_no_job_can_join_while_livekit_does_not_answer(scene: ReporterScene, url: str) -> None:
    await scene.room.connect(url, "room-token")
    assert not await scene.reporter.can_join()
    await scene.reporter.close()


async def test_failed_delivery_is_retried_in_order(scene: ReporterScene) -> None:
    scene.client.faults = [aiohttp.ServerDisconnectedError(), TimeoutError(), aiohttp.ClientConnectionError()]
    await scene.room.connect("ws://x", "t")
    scene.room.join("alice")
    await scene.reporter.close()
    assert scene.client.kinds() == ["joined", "humans", "humans", "active"]


async def test_retries_are_limited_and_refused_report_is_not_retried(scene: ReporterScene) -> None:
    refused = aiohttp.ClientResponseError(create_autospec(aiohttp.RequestInfo), ())
    scene.client.faults = [refused, *[TimeoutError() for _ in range(TRIES)]]
    for number in range(3):
        scene.reporter.report("trouble", text=str(number))
    await scene.reporter.close()
    assert scene.client.reports == [("trouble", {"text": "2"})]


async def test_unreachable_supervisor_does_not_delay_end_of_job() -> None:
    scene = ReporterScene(delivery_seconds=0.05)
    scene.client.unreachable = True
    scene.room.join("alice")
    await scene.reporter.close()
    assert scene.client.reports == []
