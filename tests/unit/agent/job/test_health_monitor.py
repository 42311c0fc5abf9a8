"""The health report of a job, from events of its room and its session."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import inference, vad
from voicesession_agent.assistant.assistant import MIN_SILENCE_SECONDS
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.humans import SPEAKER_SECONDS
from voicesession_agent.speech.pico import RATE, PicoTTS

from tests.support.fakes.monitored_job import FRAME, MonitorScene
from tests.support.fakes.room import SIP

AUDIO = rtc.TrackKind.KIND_AUDIO
MAX_SAMPLE = 32767


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


async def test_session_is_announced_once(scene: MonitorScene) -> None:
    scene.has_session = False
    await scene.next_report()
    assert scene.found == []
    scene.has_session = True
    await scene.next_report()
    await scene.next_report()
    assert scene.found == [scene.session]
