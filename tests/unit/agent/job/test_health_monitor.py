"""The health report of a job, from events of its room and its session."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.health_monitor import HealthMonitor

from tests.support.fakes.room import SIP, FakeAgentSession, FakeRoom

AUDIO = rtc.TrackKind.KIND_AUDIO


class MonitorScene:
    def __init__(self) -> None:
        self.now = 0.0
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.reports: list[HealthReport] = []
        self.has_session = True
        self.prompting = False
        self.linked = "alice"
        room: Any = self.room
        client: Any = self
        self.found: list[Any] = []
        find_session: Any = lambda: self.session if self.has_session else None  # noqa: E731 - typed as a fake
        self.can_join = True
        self.monitor = HealthMonitor(
            room, client, self.answer_can_join, find_session, self.found.append, lambda: self.now
        )
        self.room.join("alice")
        self.room.join("bob")

    async def answer_can_join(self) -> bool:
        return self.can_join

    async def send_heartbeat(self, report: HealthReport) -> None:
        self.reports.append(report)

    async def report_at(self, now: float) -> HealthReport:
        """Send heartbeats, one a second, until `now`; return the report of the last one."""
        while self.now < now:
            self.now += 1.0
            await self.next_report()
        return self.reports[-1]

    async def next_report(self) -> HealthReport:
        """Return the report of the next heartbeat."""
        running = asyncio.create_task(self.monitor.run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self.reports[-1]

    def watch_speech(self) -> None:
        session: Any = self.session
        self.monitor.watch_speech(session, lambda: self.linked, lambda: self.prompting)


@pytest.fixture
def scene() -> MonitorScene:
    return MonitorScene()


async def test_unheard_counts_speech_of_linked_human_only(scene: MonitorScene) -> None:
    scene.watch_speech()
    scene.room.speak("bob")
    scene.now = 10.0
    assert await scene.next_report() == HealthReport(speaking=True)
    scene.room.speak("alice", "bob")
    scene.now = 13.0
    assert (await scene.next_report()).unheard == 3.0
    scene.session.emit("user_input_transcribed", transcript="hello")
    assert (await scene.next_report()).unheard == 0.0


async def test_unheard_without_linked_human_counts_any_speech(scene: MonitorScene) -> None:
    scene.linked = ""
    scene.watch_speech()
    scene.room.speak("bob")
    scene.now = 10.0
    assert (await scene.next_report()).unheard == 10.0
    scene.linked = "bob"
    scene.room.speak("bob")
    scene.now = 11.0
    assert (await scene.next_report()).unheard == 1.0


async def test_dial_tone_of_ringing_phone_is_no_speech(scene: MonitorScene) -> None:
    scene.linked = "phone"
    scene.watch_speech()
    scene.room.join("phone", SIP, sip_callStatus="ringing")
    scene.room.speak("phone")
    scene.now = 10.0
    assert await scene.next_report() == HealthReport()
    scene.room.set_attributes("phone", sip_callStatus="active")
    scene.room.speak("phone")
    assert (await scene.next_report()).speaking


async def test_leave_in_mid_sentence_ends_speech(scene: MonitorScene) -> None:
    scene.watch_speech()
    scene.room.speak("alice")
    scene.now = 1.0
    scene.room.leave("alice")
    scene.now = 60.0
    assert await scene.next_report() == HealthReport(unheard=1.0)


async def test_idle_prompt_of_agent_is_not_speech(scene: MonitorScene) -> None:
    scene.watch_speech()
    assert not (await scene.next_report()).speaking
    scene.session.agent_state = "speaking"
    assert (await scene.next_report()).speaking
    scene.prompting = True
    assert not (await scene.next_report()).speaking


async def test_speech_of_user_entry_point_is_speech(scene: MonitorScene) -> None:
    scene.session.agent_state = "speaking"
    assert (await scene.next_report()).speaking


async def test_inaudible_counts_agent_speech_until_listed(scene: MonitorScene) -> None:
    scene.watch_speech()
    scene.session.emit("agent_state_changed", new_state="speaking")
    scene.now = 3.0
    assert (await scene.next_report()).inaudible == 3.0
    scene.room.speak("agent")
    assert (await scene.next_report()).inaudible == 0.0


async def test_muted_follows_own_audio_track(scene: MonitorScene) -> None:
    scene.watch_speech()
    track = SimpleNamespace(sid="TR_1", kind=AUDIO)
    scene.room.emit("track_muted", scene.room.remote_participants["alice"], track)
    assert not (await scene.next_report()).muted
    scene.room.emit("track_muted", scene.room.local_participant, track)
    assert (await scene.next_report()).muted
    scene.room.emit("track_unmuted", scene.room.local_participant, track)
    assert not (await scene.next_report()).muted


async def test_user_entry_point_may_be_deaf_and_muted(scene: MonitorScene) -> None:
    scene.room.emit("track_muted", scene.room.local_participant, SimpleNamespace(sid="TR_1", kind=AUDIO))
    scene.room.speak("alice")
    scene.now = 60.0
    assert await scene.next_report() == HealthReport(speaking=True)


async def test_lost_counts_until_connection_returns(scene: MonitorScene) -> None:
    await scene.next_report()
    scene.room.emit("connection_state_changed", rtc.ConnectionState.CONN_RECONNECTING)
    assert (await scene.report_at(4.0)).lost == 4.0
    scene.room.emit("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)
    assert (await scene.report_at(5.0)).lost == 0.0


async def test_lost_does_not_count_while_livekit_is_away(scene: MonitorScene) -> None:
    """After a restart of LiveKit, the client is back within seconds of its room, with the conversation."""
    await scene.next_report()
    scene.room.emit("connection_state_changed", rtc.ConnectionState.CONN_RECONNECTING)
    scene.can_join = False
    assert (await scene.report_at(120.0)).lost == 0.0
    scene.can_join = True
    assert (await scene.report_at(121.0)).lost == 1.0


async def test_unrecoverable_errors_of_late_session_count(scene: MonitorScene) -> None:
    scene.has_session = False
    await scene.next_report()
    scene.has_session = True
    await scene.next_report()
    await scene.next_report()
    for recoverable in (True, False, False):
        scene.session.emit("error", error=SimpleNamespace(type="llm_error", recoverable=recoverable))
    assert await scene.next_report() == HealthReport(failed=True)
    scene.session.emit("error", error=SimpleNamespace(type="llm_error", recoverable=False))
    assert (await scene.next_report()).failing == "llm"


@pytest.mark.parametrize(("error", "failing"), [(None, ""), (SimpleNamespace(type="tts_error"), "tts")])
async def test_session_closed_by_error_is_failing(scene: MonitorScene, error: Any, failing: str) -> None:
    await scene.next_report()
    scene.session.emit("close", error=error)
    assert (await scene.next_report()).failing == failing


async def test_session_is_announced_once(scene: MonitorScene) -> None:
    scene.has_session = False
    await scene.next_report()
    assert scene.found == []
    scene.has_session = True
    await scene.next_report()
    await scene.next_report()
    assert scene.found == [scene.session]
