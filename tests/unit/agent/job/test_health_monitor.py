"""The health report of a job, from events of its room and its session."""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIStatusError, inference, vad
from livekit.agents.voice import io
from voicesession_agent.assistant.assistant import MIN_SILENCE_SECONDS
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.humans import SPEAKER_SECONDS
from voicesession_agent.speech.pico import RATE, PicoTTS

from tests.support.fakes.room import SIP, FakeAgentSession, FakeRoom

AUDIO = rtc.TrackKind.KIND_AUDIO
MAX_SAMPLE = 32767
FRAME = 320


FRAME_OF_SOUND = rtc.AudioFrame(bytes(2 * FRAME), RATE, 1, FRAME)


class HoldingOutput(io.AudioOutput):
    """The output of a room that plays nothing by itself."""

    def __init__(self) -> None:
        super().__init__(label="room", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=RATE)
        self.calls: list[str] = []
        self.accepts = asyncio.Event()
        self.accepts.set()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await self.accepts.wait()
        await super().capture_frame(frame)
        self.calls.append("capture")

    def flush(self) -> None:
        super().flush()
        self.calls.append("flush")

    def clear_buffer(self) -> None:
        self.calls.append("clear")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


class MonitorScene:
    def __init__(self) -> None:
        self.now = 0.0
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.reports: list[HealthReport] = []
        self.has_session = True
        self.prompting = False
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
        report = await self.next_report()
        while self.now < now:
            self.now += 1.0
            report = await self.next_report()
        return report

    async def next_report(self) -> HealthReport:
        """Return the report of the next heartbeat."""
        running = asyncio.create_task(self.monitor.run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self.reports[-1]

    async def say(self, start: float, seconds: float) -> None:
        """Let voice detection hear speech."""
        await self.report_at(start)
        self.session.emit("user_state_changed", new_state="speaking")
        await self.report_at(start + seconds)
        self.session.emit("user_state_changed", new_state="listening")

    def fail(self, kind: str, *, recoverable: bool = False, error: Exception | None = None) -> None:
        """Let a provider fail."""
        self.session.emit("error", error=provider_error(kind, recoverable=recoverable, error=error))

    def watch_playback(self) -> None:
        session: Any = self.session
        self.monitor.watch_playback(session)

    def watch_speech(self) -> None:
        session: Any = self.session
        self.monitor.watch_speech(session, lambda: self.prompting)


def provider_error(kind: str, *, recoverable: bool = False, error: Exception | None = None) -> Any:
    """Return an error as livekit-agents reports it."""
    cause = error or APIStatusError("words", status_code=429)
    return SimpleNamespace(type=kind, recoverable=recoverable, label=f"livekit.plugins.openai.{kind}.X", error=cause)


async def speech_seconds(samples: "np.ndarray[Any, np.dtype[Any]]") -> float:
    """Return the seconds of speech that the assistant's voice detection finds in mono samples between -1 and 1."""
    detection = inference.VAD(model="silero", min_silence_duration=MIN_SILENCE_SECONDS).stream()
    sound = (samples * MAX_SAMPLE).astype(np.int16)
    for frame in sound[: sound.size // FRAME * FRAME].reshape(-1, FRAME):
        detection.push_frame(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))
    detection.end_input()
    return sum([event.speech_duration async for event in detection if event.type == vad.VADEventType.END_OF_SPEECH])


@pytest.fixture
def scene() -> MonitorScene:
    return MonitorScene()


async def test_unheard_counts_speech_found_by_voice_detection(scene: MonitorScene) -> None:
    scene.watch_speech()
    await scene.say(0, 6)
    await scene.say(7, 6)
    assert (await scene.report_at(28.0)).unheard == 12.0
    scene.session.emit("user_input_transcribed", transcript="hello")
    assert (await scene.report_at(29.0)).unheard == 0.0


async def test_music_is_not_speech(scene: MonitorScene) -> None:
    """LiveKit lists music among the active speakers, and voice detection does not take it for speech."""
    scene.watch_speech()
    await scene.next_report()
    scene.room.speak("alice")
    assert await scene.next_report() == HealthReport()
    scene.room.speak("alice")
    assert (await scene.report_at(120.0)).unheard == 0.0


async def test_speech_found_by_voice_detection_is_speech(scene: MonitorScene) -> None:
    scene.watch_speech()
    await scene.next_report()
    scene.session.emit("user_state_changed", new_state="speaking")
    scene.room.speak("agent")
    assert (await scene.report_at(60.0)).speaking
    scene.session.emit("user_state_changed", new_state="listening")
    assert not (await scene.next_report()).speaking


async def test_voice_detection_of_assistant_finds_speech_but_neither_music_nor_noise() -> None:
    times = np.arange(10 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * tone * times) for tone in (220.0, 277.2, 329.6, 440.0)) / 8
    beat = np.sin(2 * np.pi * 2 * times) > 0
    noise = np.random.default_rng(1).normal(size=times.size) / 8
    speech = np.frombuffer(await PicoTTS().speak("My name is Alice, and I live in Berlin."), np.int16) / MAX_SAMPLE
    assert await speech_seconds(chord * beat) == 0.0
    assert await speech_seconds(noise) == 0.0
    assert await speech_seconds(np.concatenate([speech, np.zeros(RATE)])) > 1.0


@pytest.mark.parametrize("recoverable", [True, False])
async def test_error_of_recognizer_explains_missing_words(scene: MonitorScene, recoverable: bool) -> None:
    scene.watch_speech()
    await scene.next_report()
    await scene.say(0, 12)
    scene.fail("stt_error", recoverable=recoverable)
    assert (await scene.report_at(60.0)).unheard == 0.0


async def test_dial_tone_of_ringing_phone_is_no_speech(scene: MonitorScene) -> None:
    scene.room.join("phone", SIP, sip_callStatus="ringing")
    scene.room.speak("phone")
    assert await scene.next_report() == HealthReport()
    scene.room.set_attributes("phone", sip_callStatus="active")
    scene.room.speak("phone")
    assert (await scene.next_report()).speaking


async def test_speech_in_user_entry_point_lasts_from_change_to_change(scene: MonitorScene) -> None:
    scene.room.speak("alice")
    scene.room.speak("agent")
    assert (await scene.next_report()).speaking
    assert not (await scene.report_at(SPEAKER_SECONDS)).speaking
    scene.room.speak("alice")
    scene.room.leave("alice")
    assert not (await scene.next_report()).speaking


async def test_leave_in_mid_sentence_ends_speech(scene: MonitorScene) -> None:
    scene.watch_speech()
    await scene.next_report()
    scene.session.emit("user_state_changed", new_state="speaking")
    await scene.report_at(1.0)
    scene.room.leave("alice")
    assert await scene.next_report() == HealthReport()
    await scene.report_at(30.0)
    scene.session.emit("user_state_changed", new_state="listening")
    assert await scene.report_at(60.0) == HealthReport()


async def test_microphone_muted_in_mid_sentence_ends_speech(scene: MonitorScene) -> None:
    scene.watch_speech()
    scene.session.emit("user_state_changed", new_state="speaking")
    await scene.report_at(1.0)
    microphone = SimpleNamespace(sid="TR_2", kind=AUDIO)
    scene.room.emit("track_muted", scene.room.remote_participants["alice"], microphone)
    await scene.report_at(30.0)
    scene.session.emit("user_state_changed", new_state="listening")
    assert (await scene.report_at(60.0)).unheard == 0.0


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


async def test_inaudible_counts_sound_that_is_not_played(scene: MonitorScene) -> None:
    output = HoldingOutput()
    scene.session.output.audio = output
    scene.watch_speech()
    scene.watch_playback()
    meter: Any = scene.session.output.audio
    scene.session.emit("agent_state_changed", new_state="speaking")
    assert (await scene.report_at(20.0)).inaudible == 0.0
    await meter.capture_frame(FRAME_OF_SOUND)
    assert (await scene.report_at(23.0)).inaudible == 3.0
    output.on_playback_started(created_at=0.0)
    assert (await scene.next_report()).inaudible == 0.0
    meter.flush()
    assert (await scene.report_at(26.0)).inaudible > 2.0
    output.on_playback_finished(playback_position=0.02, interrupted=False)
    assert (await scene.report_at(60.0)).inaudible == 0.0
    assert output.calls == ["capture", "flush"]


async def test_sound_that_session_drops_or_holds_is_not_inaudible(scene: MonitorScene) -> None:
    output = HoldingOutput()
    scene.session.output.audio = output
    scene.watch_playback()
    meter: Any = scene.session.output.audio
    await meter.capture_frame(FRAME_OF_SOUND)
    meter.pause()
    assert (await scene.report_at(60.0)).inaudible == 0.0
    meter.resume()
    meter.clear_buffer()
    assert (await scene.report_at(120.0)).inaudible == 0.0
    assert output.calls == ["capture", "pause", "resume", "clear"]


async def test_sound_without_subscriber_is_not_inaudible(scene: MonitorScene) -> None:
    """The output of a room takes no frame before somebody has subscribed to the agent's track."""
    output = HoldingOutput()
    output.accepts.clear()
    scene.session.output.audio = output
    scene.watch_playback()
    meter: Any = scene.session.output.audio
    capture = asyncio.create_task(meter.capture_frame(FRAME_OF_SOUND))
    assert (await scene.report_at(60.0)).inaudible == 0.0
    output.accepts.set()
    await capture
    assert (await scene.report_at(62.0)).inaudible == 2.0


async def test_session_without_audio_has_no_meter(scene: MonitorScene) -> None:
    scene.session.output.audio = None
    scene.watch_playback()
    assert scene.session.output.audio is None


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
    scene.now = 60.0
    assert await scene.next_report() == HealthReport()


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
        scene.fail("llm_error", recoverable=recoverable)
    assert await scene.next_report() == HealthReport(failed=True)
    scene.fail("llm_error")
    assert (await scene.next_report()).failing == "llm openai: 429 Too Many Requests, 3 turns"


async def test_recognizer_that_is_not_opened_again_is_broken(scene: MonitorScene) -> None:
    """livekit-agents opens it again after an error of its API only."""
    await scene.next_report()
    scene.fail("stt_error")
    assert not (await scene.next_report()).broken
    scene.fail("stt_error", error=RuntimeError("words"))
    report = await scene.next_report()
    assert (report.broken, report.failing) == (True, "stt openai: RuntimeError")


async def test_failed_turns_close_no_session(scene: MonitorScene) -> None:
    await scene.next_report()
    assert scene.session.conn_options.max_unrecoverable_errors == sys.maxsize


async def test_number_of_failed_turns_chosen_by_author_is_kept(scene: MonitorScene) -> None:
    scene.session.conn_options.max_unrecoverable_errors = 7
    await scene.next_report()
    assert scene.session.conn_options.max_unrecoverable_errors == 7


async def test_speech_of_assistant_is_no_success_of_its_model(scene: MonitorScene) -> None:
    """The assistant also says that it cannot answer."""
    scene.watch_speech()
    await scene.next_report()
    scene.monitor.provider_failed("llm", "livekit.plugins.openai.llm.LLM", "empty answer")
    scene.session.emit("agent_state_changed", new_state="speaking")
    assert (await scene.next_report()).failed
    scene.monitor.provider_succeeded("llm")
    assert not (await scene.next_report()).failed


async def test_speech_of_user_entry_point_is_success(scene: MonitorScene) -> None:
    await scene.next_report()
    scene.fail("llm_error")
    scene.session.emit("agent_state_changed", new_state="speaking")
    assert not (await scene.next_report()).failed


async def test_session_closed_by_error_is_broken(scene: MonitorScene) -> None:
    await scene.next_report()
    scene.session.emit("close", error=None)
    assert not (await scene.next_report()).broken
    scene.session.emit("close", error=provider_error("tts_error"))
    report = await scene.next_report()
    assert (report.broken, report.failing) == (True, "tts openai: 429 Too Many Requests")


async def test_session_is_announced_once(scene: MonitorScene) -> None:
    scene.has_session = False
    await scene.next_report()
    assert scene.found == []
    scene.has_session = True
    await scene.next_report()
    await scene.next_report()
    assert scene.found == [scene.session]
