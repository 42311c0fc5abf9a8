"""Probes of a job's health, each with a simulated clock."""

import pytest
from livekit.agents import APIConnectionError, APIStatusError, APITimeoutError
from voicesession_agent.health.probes import (
    DISCONNECTED_SECONDS,
    FAILURE_CHARACTERS,
    MUTE_SECONDS,
    TURNS,
    DeafProbe,
    DisconnectedProbe,
    MuteProbe,
    ProviderProbe,
    describe_failure,
    is_deaf,
    is_disconnected,
    is_mute,
    provider_name,
)


def speak(probe: DeafProbe, start: int, seconds: int) -> None:
    """Let voice detection hear speech from `start` on; a probe is read once a second."""
    probe.speaks(True, start)
    for now in range(start + 1, start + seconds):
        probe.seconds(now)
    probe.speaks(False, start + seconds)


def unheard(probe: DeafProbe, start: int, end: int) -> float:
    """Read the probe once a second and return the largest value."""
    return max(probe.seconds(now) for now in range(start, end + 1))


def test_deaf_probe_sums_speech_without_transcript() -> None:
    probe = DeafProbe()
    speak(probe, 0, 6)
    speak(probe, 7, 5)
    assert unheard(probe, 12, 26) == 6.0
    assert is_deaf(unheard(probe, 27, 27))


def test_deaf_probe_does_not_count_sound_in_progress() -> None:
    probe = DeafProbe()
    probe.speaks(True, 0.0)
    assert unheard(probe, 0, 600) == 0.0


def test_deaf_probe_waits_for_late_transcript() -> None:
    """A slow recognizer, or one that repeats a request, answers late."""
    probe = DeafProbe()
    speak(probe, 0, 20)
    assert unheard(probe, 20, 34) == 0.0
    probe.heard()
    assert unheard(probe, 35, 120) == 0.0


def test_deaf_probe_forgets_sounds_outside_window() -> None:
    probe = DeafProbe()
    for start in range(0, 3600, 20):
        speak(probe, start, 3)
        assert not is_deaf(unheard(probe, start + 3, start + 19))
    assert len(probe.sounds) < 10, "memory is bounded"


def test_deaf_probe_ignores_coughs_and_interrupted_sounds() -> None:
    probe = DeafProbe()
    for now in range(100):
        probe.speaks(True, now)
        probe.speaks(False, now + 0.4)
    probe.speaks(True, 100.0)
    probe.interrupted()
    assert unheard(probe, 101, 130) == 0.0
    probe.speaks(False, 131.0)
    assert unheard(probe, 132, 160) == 0.0


def test_deaf_probe_counts_little_of_a_pause_of_the_process() -> None:
    """Neither speech nor the wait for its transcript goes on while a laptop is paused."""
    probe = DeafProbe()
    probe.speaks(True, 0.0)
    probe.speaks(False, 3600.0)
    assert [length for _, length in probe.sounds] == [2.0]
    probe.heard()
    speak(probe, 3601, 12)
    assert probe.seconds(9000.0) == 0.0
    probe.heard()
    assert unheard(probe, 9001, 9030) == 0.0


def lateness(probe: MuteProbe, start: int, end: int) -> float:
    """Read the probe once a second and return the last value."""
    return [probe.seconds(float(now)) for now in range(start, end + 1)][-1]


def test_mute_probe_counts_sound_before_start_of_playback() -> None:
    probe = MuteProbe()
    assert lateness(probe, 0, 100) == 0.0
    probe.handed_over(0.1, 100.0)
    assert not is_mute(lateness(probe, 101, 103), muted=False)
    assert is_mute(lateness(probe, 104, 104), muted=False)
    assert probe.seconds(104.0) == MUTE_SECONDS
    probe.started(104.5)
    assert probe.seconds(104.6) == 0.0


def test_mute_probe_counts_stopped_playback() -> None:
    probe = MuteProbe()
    probe.handed_over(10.0, 0.0)
    probe.started(0.0)
    probe.flushed(1.0)
    assert lateness(probe, 2, 10) == 0.0
    assert is_mute(lateness(probe, 11, 14), muted=False)
    probe.finished(14.5)
    assert lateness(probe, 15, 60) == 0.0


def test_mute_probe_does_not_count_pause_of_slow_model() -> None:
    """A model that pauses for 12 s in mid-answer hands over nothing that could be played."""
    probe = MuteProbe()
    probe.handed_over(2.0, 0.0)
    probe.started(0.0)
    assert lateness(probe, 1, 14) == 0.0
    probe.handed_over(3.0, 14.0)
    probe.flushed(14.0)
    assert lateness(probe, 15, 17) == 0.0
    probe.finished(17.0)
    assert lateness(probe, 18, 600) == 0.0


def test_mute_probe_does_not_count_paused_playback() -> None:
    probe = MuteProbe()
    probe.handed_over(2.0, 0.0)
    probe.started(0.0)
    probe.flushed(0.0)
    probe.paused(True, 1.0)
    assert lateness(probe, 1, 60) == 0.0
    probe.paused(False, 60.0)
    assert lateness(probe, 60, 61) == 0.0
    assert is_mute(lateness(probe, 62, 66), muted=False)


def test_mute_probe_ignores_end_of_segment_without_sound() -> None:
    probe = MuteProbe()
    probe.flushed(0.0)
    probe.handed_over(0.1, 1.0)
    probe.started(1.0)
    assert lateness(probe, 2, 60) == 0.0


def test_mute_probe_counts_little_of_a_pause_of_the_process() -> None:
    probe = MuteProbe()
    probe.handed_over(2.0, 0.0)
    assert not is_mute(probe.seconds(3600.0), muted=False)


def test_muted_track_is_mute_immediately() -> None:
    assert is_mute(0.0, muted=True)


def test_provider_probe_counts_failures_in_a_row() -> None:
    probe = ProviderProbe()
    for _ in range(TURNS - 1):
        probe.failed("llm_error", "openai: timeout")
        probe.failed("tts_error", "openai: timeout")
    assert (probe.failing(), probe.has_failure) == ("", True)
    probe.succeeded("llm", "tts")
    assert not probe.has_failure
    probe.failed("llm_error", "openai: 401 invalid_api_key")
    assert probe.failing() == ""
    for _ in range(TURNS - 1):
        probe.failed("llm_error", "openai: 401 invalid_api_key")
    assert probe.failing() == "llm openai: 401 invalid_api_key, 3 turns"
    assert not probe.is_broken
    probe.succeeded("llm")
    assert probe.failing() == ""


def test_provider_probe_names_last_engine_of_adapter() -> None:
    probe = ProviderProbe()
    for _ in range(TURNS):
        probe.attempt_failed("llm_error", "openai: timeout")
        probe.attempt_failed("llm_error", "groq: 429 rate_limit_exceeded")
        probe.failed("llm_error", "")
    assert probe.failing() == "llm groq: 429 rate_limit_exceeded, 3 turns"


def test_provider_probe_with_closed_session_is_broken() -> None:
    probe = ProviderProbe()
    probe.failed("interruption_detection_error", "x: timeout")
    probe.broken("stt_error", "moonshine: RuntimeError")
    probe.succeeded("stt")
    assert (probe.failing(), probe.is_broken, probe.has_failure) == ("stt moonshine: RuntimeError", True, True)


LABEL = "livekit.plugins.openai.llm.LLM"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (APIStatusError("", status_code=401, body={"code": "invalid_api_key"}), "401 invalid_api_key"),
        (APIStatusError("", status_code=429, body={"error": {"code": "1", "type": "quota"}}), "429 quota"),
        (APIStatusError("", status_code=500), "500 Internal Server Error"),
        (APIStatusError("", status_code=404, body="no such model"), "404 Not Found"),
        (APIStatusError("", status_code=-1), "APIStatusError"),
        (APITimeoutError(), "timeout"),
        (APIConnectionError("the prompt"), "no connection"),
        (ValueError("the prompt"), "ValueError"),
    ],
)
def test_failure_is_described_by_provider_status_and_reason(error: Exception, cause: str) -> None:
    assert describe_failure(LABEL, error) == f"openai: {cause}"


@pytest.mark.parametrize(
    "secret", ["sk-proj-1234567890", "tell me about HIV", "x" * 500 + "1", "a_b_c_d_e_f_g_h", 7, None]
)
def test_failure_never_quotes_key_or_prompt(secret: object) -> None:
    error = APIStatusError(str(secret), status_code=400, body={"code": secret, "type": secret, "message": secret})
    assert describe_failure(LABEL, error) == "openai: 400 Bad Request"


def test_failure_has_bounded_length() -> None:
    assert len(describe_failure("x" * 1000 + ".LLM", ValueError())) <= FAILURE_CHARACTERS


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (LABEL, "openai"),
        ("voicesession_agent.speech.moonshine.MoonshineSTT", "moonshine"),
        ("LLM", "LLM"),
    ],
)
def test_provider_name_is_plugin_or_module(label: str, name: str) -> None:
    assert provider_name(label) == name


def test_failure_of_fallback_adapter_names_no_engine() -> None:
    assert describe_failure("livekit.agents.llm.fallback_adapter.FallbackAdapter", APIConnectionError()) == ""


def tick_disconnected(probe: DisconnectedProbe, seconds: range, connected: bool = False, can_join: bool = True) -> None:
    """Tick once in each of the seconds."""
    for now in seconds:
        probe.tick(connected, can_join, float(now))


def test_disconnected_probe_restarts_after_reconnect() -> None:
    probe = DisconnectedProbe()
    tick_disconnected(probe, range(19))
    tick_disconnected(probe, range(19, 21), connected=True)
    assert probe.seconds == 0.0
    tick_disconnected(probe, range(21, 40))
    assert not is_disconnected(probe.seconds)
    tick_disconnected(probe, range(40, 41))
    assert is_disconnected(probe.seconds)
    assert probe.seconds == DISCONNECTED_SECONDS


def test_disconnected_probe_does_not_count_while_no_job_could_join() -> None:
    probe = DisconnectedProbe()
    tick_disconnected(probe, range(3600), can_join=False)
    tick_disconnected(probe, range(3600, 3615))
    assert not is_disconnected(probe.seconds)


def test_disconnected_probe_counts_little_of_a_pause() -> None:
    probe = DisconnectedProbe()
    tick_disconnected(probe, range(2))
    tick_disconnected(probe, range(3600, 3601))
    assert probe.seconds == 3.0
