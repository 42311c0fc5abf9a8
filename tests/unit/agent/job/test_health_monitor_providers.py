"""Playback and failing providers in the health report of a job."""

import asyncio
import sys
from typing import Any

import pytest
from voicesession_agent.health.diagnosis import HealthReport

from tests.support.fakes.monitored_job import FRAME_OF_SOUND, HoldingOutput, MonitorScene, provider_error


@pytest.fixture
def scene() -> MonitorScene:
    return MonitorScene()


@pytest.mark.parametrize("recoverable", [True, False])
async def test_error_of_recognizer_explains_missing_words(scene: MonitorScene, recoverable: bool) -> None:
    scene.watch_speech()
    await scene.next_report()
    await scene.say(0, 12)
    scene.fail("stt_error", recoverable=recoverable)
    assert (await scene.report_at(60.0)).unheard == 0.0


async def test_inaudible_counts_unplayed_sound(scene: MonitorScene) -> None:
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


async def test_dropped_or_paused_sound_is_not_inaudible(scene: MonitorScene) -> None:
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


async def test_recognizer_with_foreign_error_is_broken(scene: MonitorScene) -> None:
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


async def test_speech_of_assistant_is_no_success_of_model(scene: MonitorScene) -> None:
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
