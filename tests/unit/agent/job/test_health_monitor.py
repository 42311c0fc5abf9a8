"""What a job sees of its own health."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.health_monitor import HealthMonitor

from tests.support.fakes.room import FakeAgentSession, FakeRoom

AUDIO = rtc.TrackKind.KIND_AUDIO


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.beats: list[HealthReport] = []
        self.has_session = True
        self.asking = False
        self.linked = "alice"
        room: Any = self.room
        link: Any = self
        self.found: list[Any] = []
        session: Any = lambda: self.session if self.has_session else None  # noqa: E731 - of a stand-in's type
        self.signs = HealthMonitor(room, link, session, self.found.append, lambda: self.now)
        self.room.comes("alice")
        self.room.comes("bob")

    async def beat(self, vitals: HealthReport) -> None:
        self.beats.append(vitals)

    async def one_beat(self) -> HealthReport:
        beating = asyncio.create_task(self.signs.run())
        await asyncio.sleep(0)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        return self.beats[-1]

    def attend(self) -> None:
        session: Any = self.session
        self.signs.attend(session, lambda: self.linked, lambda: self.asking)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_only_speech_of_the_linked_human_goes_unheard(scene: Scene) -> None:
    scene.attend()
    scene.room.speak("bob")
    scene.now = 10.0
    assert await scene.one_beat() == HealthReport(speaking=True)
    scene.room.speak("alice", "bob")
    scene.now = 13.0
    assert (await scene.one_beat()).unheard == 3.0
    scene.session.emit("user_input_transcribed", transcript="hello")
    assert (await scene.one_beat()).unheard == 0.0


async def test_before_anybody_is_linked_whoever_speaks_goes_unheard(scene: Scene) -> None:
    scene.linked = ""
    scene.attend()
    scene.room.speak("bob")
    scene.now = 10.0
    assert (await scene.one_beat()).unheard == 10.0
    scene.linked = "bob"
    scene.room.speak("bob")
    scene.now = 11.0
    assert (await scene.one_beat()).unheard == 1.0


async def test_who_leaves_in_mid_sentence_speaks_no_more(scene: Scene) -> None:
    scene.attend()
    scene.room.speak("alice")
    scene.now = 1.0
    scene.room.goes("alice")
    scene.now = 60.0
    assert await scene.one_beat() == HealthReport(unheard=1.0)


async def test_its_own_speech_is_speech_but_not_its_question_to_the_silent(scene: Scene) -> None:
    scene.attend()
    assert not (await scene.one_beat()).speaking
    scene.session.agent_state = "speaking"
    assert (await scene.one_beat()).speaking
    scene.asking = True
    assert not (await scene.one_beat()).speaking


async def test_the_speech_of_somebody_elses_agent_is_speech_too(scene: Scene) -> None:
    scene.session.agent_state = "speaking"
    assert (await scene.one_beat()).speaking


async def test_speech_that_nobody_hears(scene: Scene) -> None:
    scene.attend()
    scene.session.emit("agent_state_changed", new_state="speaking")
    scene.now = 3.0
    assert (await scene.one_beat()).inaudible == 3.0
    scene.room.speak("agent")
    assert (await scene.one_beat()).inaudible == 0.0


async def test_its_own_microphone_muted_by_somebody_else(scene: Scene) -> None:
    scene.attend()
    track = SimpleNamespace(sid="TR_1", kind=AUDIO)
    scene.room.emit("track_muted", scene.room.remote_participants["alice"], track)
    assert not (await scene.one_beat()).muted
    scene.room.emit("track_muted", scene.room.local_participant, track)
    assert (await scene.one_beat()).muted
    scene.room.emit("track_unmuted", scene.room.local_participant, track)
    assert not (await scene.one_beat()).muted


async def test_somebody_elses_agent_may_be_deaf_and_muted(scene: Scene) -> None:
    scene.room.emit("track_muted", scene.room.local_participant, SimpleNamespace(sid="TR_1", kind=AUDIO))
    scene.room.speak("alice")
    scene.now = 60.0
    assert await scene.one_beat() == HealthReport(speaking=True)


async def test_a_connection_that_does_not_come_back(scene: Scene) -> None:
    scene.room.emit("connection_state_changed", rtc.ConnectionState.CONN_RECONNECTING)
    scene.now = 4.0
    assert (await scene.one_beat()).lost == 4.0
    scene.room.emit("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)
    assert (await scene.one_beat()).lost == 0.0


async def test_errors_are_counted_from_when_there_is_a_session(scene: Scene) -> None:
    scene.has_session = False
    await scene.one_beat()
    scene.has_session = True
    await scene.one_beat()
    await scene.one_beat()
    for recoverable in (True, False, False):
        scene.session.emit("error", error=SimpleNamespace(type="llm_error", recoverable=recoverable))
    assert await scene.one_beat() == HealthReport(failed=True)
    scene.session.emit("error", error=SimpleNamespace(type="llm_error", recoverable=False))
    assert (await scene.one_beat()).failing == "llm"


@pytest.mark.parametrize(("error", "failing"), [(None, ""), (SimpleNamespace(type="tts_error"), "tts")])
async def test_a_session_that_closed_itself(scene: Scene, error: Any, failing: str) -> None:
    await scene.one_beat()
    scene.session.emit("close", error=error)
    assert (await scene.one_beat()).failing == failing


async def test_a_session_is_found_once(scene: Scene) -> None:
    scene.has_session = False
    await scene.one_beat()
    assert scene.found == []
    scene.has_session = True
    await scene.one_beat()
    await scene.one_beat()
    assert scene.found == [scene.session]
