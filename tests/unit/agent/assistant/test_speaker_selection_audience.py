"""The choice between speech and text, and the wait for a human who can hear."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit import rtc
from voicesession_agent.assistant.speaker_selection import Audience

from tests.support.async_polling import until
from tests.support.fakes.room import FakeAgentSession, FakeRoom

JOINED = rtc.ParticipantState.PARTICIPANT_STATE_JOINED
ACTIVE = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
LONG = 60.0
SHORT = 0.01


class AudienceScene:
    def __init__(self, active_seconds: float = LONG, subscribe_seconds: float = LONG) -> None:
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.subscribed = asyncio.get_running_loop().create_future()
        self.session.subscribed = self.subscribed
        room: Any = self.room
        session: Any = self.session
        self.audience = Audience(room, session, active_seconds, subscribe_seconds)

    def activate(self, identity: str) -> None:
        participant: Any = self.room.remote_participants[identity]
        participant.state = ACTIVE
        self.room.emit("participant_active", participant)


@pytest.fixture
async def scene() -> AsyncIterator[AudienceScene]:
    made = AudienceScene()
    yield made
    await made.audience.close()


async def test_speech_waits_for_subscription(scene: AudienceScene) -> None:
    scene.room.join("alice")
    scene.audience.say("Hello.", "alice")
    await asyncio.sleep(0)
    assert scene.session.said == []
    scene.subscribed.set_result(None)
    await until(lambda: scene.session.said == ["Hello."])
    assert scene.session.speech_enabled == [True]


async def test_speech_waits_for_active_connection(scene: AudienceScene) -> None:
    scene.subscribed.set_result(None)
    alice: Any = scene.room.join("alice")
    alice.state = JOINED
    scene.room.join("bob")
    scene.audience.say("Hello.", "alice")
    await asyncio.sleep(0)
    scene.activate("bob")
    await asyncio.sleep(0)
    assert scene.session.said == []
    scene.activate("alice")
    await until(lambda: scene.session.said == ["Hello."])


async def test_speech_for_absent_human_is_not_said(scene: AudienceScene) -> None:
    scene.subscribed.set_result(None)
    alice: Any = scene.room.join("alice")
    alice.state = JOINED
    ends: list[bool] = []
    scene.audience.say("Hello.", "alice", ends.append)
    await asyncio.sleep(0)
    scene.room.leave("alice")
    await until(lambda: ends == [False])
    assert scene.session.said == []


async def test_human_without_subscription_gets_text_and_waits_once() -> None:
    scene = AudienceScene(subscribe_seconds=SHORT)
    scene.room.join("alice")
    await scene.audience.wait("alice")
    assert scene.session.speech_enabled == [False]
    waiting = asyncio.ensure_future(scene.audience.wait("alice"))
    await asyncio.sleep(0)
    assert waiting.done()


async def test_later_subscription_brings_speech_after_current_answer() -> None:
    scene = AudienceScene(subscribe_seconds=SHORT)
    scene.room.join("alice")
    await scene.audience.wait("alice")
    scene.subscribed.set_result(None)
    scene.session.agent_state = "speaking"
    await scene.audience.wait("alice")
    assert scene.session.speech_enabled == [False]
    scene.session.agent_state = "listening"
    await scene.audience.wait("alice")
    assert scene.session.speech_enabled == [False, True]


async def test_connection_without_media_delays_speech_only() -> None:
    scene = AudienceScene(active_seconds=SHORT)
    scene.subscribed.set_result(None)
    alice: Any = scene.room.join("alice")
    alice.state = JOINED
    scene.audience.say("Hello.", "alice")
    await until(lambda: scene.session.said == ["Hello."])


async def test_session_without_audio_output_is_left_alone(scene: AudienceScene) -> None:
    scene.session.subscribed = None
    scene.room.join("alice")
    await scene.audience.wait("alice")
    assert scene.session.speech_enabled == []


async def test_closed_audience_is_silent(scene: AudienceScene) -> None:
    scene.room.join("alice")
    scene.audience.say("Hello.", "alice")
    await scene.audience.close()
    scene.subscribed.set_result(None)
    await asyncio.sleep(0)
    assert scene.session.said == []
