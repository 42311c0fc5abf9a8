"""Probes of a job's health, each with a simulated clock."""

from voicesession_agent.health.probes import (
    DEAF_SECONDS,
    DISCONNECTED_SECONDS,
    MUTE_SECONDS,
    TURNS,
    DeafProbe,
    DisconnectedProbe,
    MuteProbe,
    ProviderProbe,
    is_deaf,
    is_disconnected,
    is_mute,
)


def test_deaf_probe_sums_speech_without_transcript() -> None:
    probe = DeafProbe()
    for start in (0.0, 20.0, 40.0):
        probe.speaks("alice", True, start)
        probe.speaks("alice", False, start + 3)
    assert not is_deaf(probe.seconds(45.0))
    probe.speaks("alice", True, 50.0)
    assert is_deaf(probe.seconds(51.0))
    assert probe.seconds(51.0) == DEAF_SECONDS


def test_deaf_probe_forgets_noises_outside_window() -> None:
    probe = DeafProbe()
    for start in range(0, 3600, 20):
        probe.speaks("alice", True, start)
        probe.speaks("alice", False, start + 3)
        assert not is_deaf(probe.seconds(start + 3))
    assert len(probe.periods) < 10, "memory is bounded"
    probe.speaks("alice", True, 5000.0)
    assert probe.seconds(5100.0) == 60.0


def test_deaf_probe_restarts_for_another_human() -> None:
    probe = DeafProbe()
    probe.speaks("alice", True, 0.0)
    probe.speaks("bob", True, 9.0)
    assert probe.seconds(10.0) == 1.0
    probe.speaks("", False, 10.0)
    assert probe.seconds(10.0) == 0.0


def test_deaf_probe_restarts_after_transcript() -> None:
    probe = DeafProbe()
    probe.speaks("alice", True, 0.0)
    probe.heard(9.0)
    assert not is_deaf(probe.seconds(18.0))
    assert is_deaf(probe.seconds(19.0))


def test_mute_probe_sums_speech_never_listed() -> None:
    probe = MuteProbe()
    probe.speaks(True, 0.0)
    probe.speaks(False, 3.0)
    probe.speaks(True, 10.0)
    assert not is_mute(probe.seconds(10.9), muted=False)
    assert is_mute(probe.seconds(11.0), muted=False)
    assert probe.seconds(11.0) == MUTE_SECONDS


def test_mute_probe_restarts_after_listing() -> None:
    probe = MuteProbe()
    probe.speaks(True, 0.0)
    probe.listed(True, 0.5)
    assert probe.seconds(60.0) == 0.0
    probe.listed(False, 60.0)
    assert probe.seconds(62.0) == 2.0


def test_muted_track_is_mute_immediately() -> None:
    assert is_mute(0.0, muted=True)


def test_provider_probe_counts_failures_in_a_row() -> None:
    probe = ProviderProbe()
    for _ in range(TURNS - 1):
        probe.failed("llm_error")
        probe.failed("tts_error")
    assert (probe.failing_role(), probe.has_failure) == ("", True)
    probe.succeeded("llm", "tts")
    assert not probe.has_failure
    probe.failed("llm_error")
    assert probe.failing_role() == ""
    for _ in range(TURNS - 1):
        probe.failed("llm_error")
    assert probe.failing_role() == "llm"


def test_provider_probe_session_closed_by_error_is_failing() -> None:
    probe = ProviderProbe()
    probe.failed("interruption_detection_error")
    probe.session_closed("stt_error")
    assert probe.failing_role() == "stt"


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
