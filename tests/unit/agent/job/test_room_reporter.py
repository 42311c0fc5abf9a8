"""What a job reports of its room."""

from typing import Any
from unittest.mock import create_autospec

import aiohttp
import pytest
from livekit import rtc
from voicesession_agent.job import room_reporter as presence_module
from voicesession_agent.job.room_reporter import RoomReporter

from tests.support.fakes.room import AGENT, FakeRoom


class Link:
    def __init__(self) -> None:
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.away = False
        self.faults: list[Exception] = []

    async def report(self, kind: str, **facts: Any) -> None:
        if self.faults:
            raise self.faults.pop(0)
        if self.away:
            raise aiohttp.ClientConnectionError
        self.reports.append((kind, facts))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.reports]


class Scene:
    def __init__(self) -> None:
        self.room, self.link = FakeRoom(), Link()
        room: Any = self.room
        link: Any = self.link
        self.presence = RoomReporter(room, link)


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_join_humans_and_departures_in_order(scene: Scene) -> None:
    await scene.room.connect("ws://x", "t")
    scene.room.comes("alice")
    scene.room.comes("other", AGENT)
    scene.room.goes("alice")
    scene.room.emit("disconnected", rtc.DisconnectReason.DUPLICATE_IDENTITY)
    await scene.presence.close()
    assert scene.link.kinds() == ["joined", "humans", "humans", "active", "humans", "left", "humans", "gone"]
    assert scene.link.reports[0][1] == {"sid": "PA_agent"}
    assert scene.link.reports[-1][1] == {"reason": "DUPLICATE_IDENTITY"}


async def test_activity_is_told_when_speech_begins(scene: Scene) -> None:
    scene.room.comes("alice")
    scene.room.speak("agent")
    scene.room.speak("alice")
    scene.room.speak("alice", "agent")
    scene.room.speak()
    scene.room.speak("alice")
    await scene.presence.close()
    assert scene.link.kinds() == ["humans", "active", "active", "active"]


async def test_a_room_that_refuses(scene: Scene) -> None:
    async def refuse(*_: Any) -> None:
        raise rtc.ConnectError("404")

    room: Any = FakeRoom()
    room.connect = refuse
    link: Any = scene.link
    presence = RoomReporter(room, link)
    with pytest.raises(rtc.ConnectError):
        await room.connect("ws://x", "t")
    await presence.close()
    assert scene.link.kinds() == ["trouble", "refused"]
    await scene.presence.close()


async def test_what_was_not_delivered_is_tried_again_in_order(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "PAUSE_SECONDS", 0.0)
    scene.link.faults = [aiohttp.ServerDisconnectedError(), TimeoutError(), aiohttp.ClientConnectionError()]
    await scene.room.connect("ws://x", "t")
    scene.room.comes("alice")
    await scene.presence.close()
    assert scene.link.kinds() == ["joined", "humans", "humans", "active"]


async def test_tries_are_counted_and_what_is_refused_is_not_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "PAUSE_SECONDS", 0.0)
    refused = aiohttp.ClientResponseError(create_autospec(aiohttp.RequestInfo), ())
    scene.link.faults = [refused, *[TimeoutError() for _ in range(presence_module.TRIES)]]
    for number in range(3):
        scene.presence.report("trouble", text=str(number))
    await scene.presence.close()
    assert scene.link.reports == [("trouble", {"text": "2"})]


async def test_a_supervisor_that_is_away_does_not_hold_the_job(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "DELIVERY_SECONDS", 0.05)
    scene.link.away = True
    scene.room.comes("alice")
    await scene.presence.close()
    assert scene.link.reports == []
