"""The probes, each with its own clock."""

import pytest
from voicesession_agent.health.diagnosis import (
    BUDGET,
    STUCK_SECONDS,
    WINDOW_SECONDS,
    HealthReport,
    HealthRestarts,
    Heartbeat,
    Problem,
    diagnose,
)
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


def test_deaf_after_speech_in_all_without_a_word() -> None:
    unheard = DeafProbe()
    for start in (0.0, 20.0, 40.0):
        unheard.speaks("alice", True, start)
        unheard.speaks("alice", False, start + 3)
    assert not is_deaf(unheard.seconds(45.0))
    unheard.speaks("alice", True, 50.0)
    assert is_deaf(unheard.seconds(51.0))
    assert unheard.seconds(51.0) == DEAF_SECONDS


def test_noises_that_lie_far_apart_are_no_speech() -> None:
    unheard = DeafProbe()
    for start in range(0, 3600, 20):
        unheard.speaks("alice", True, start)
        unheard.speaks("alice", False, start + 3)
        assert not is_deaf(unheard.seconds(start + 3))
    assert len(unheard._spells) < 10, "nothing is kept for long"
    unheard.speaks("alice", True, 5000.0)
    assert unheard.seconds(5100.0) == 60.0


def test_another_human_in_her_place_is_not_unheard() -> None:
    unheard = DeafProbe()
    unheard.speaks("alice", True, 0.0)
    unheard.speaks("bob", True, 9.0)
    assert unheard.seconds(10.0) == 1.0
    unheard.speaks("", False, 10.0)
    assert unheard.seconds(10.0) == 0.0


def test_a_word_heard_begins_anew() -> None:
    unheard = DeafProbe()
    unheard.speaks("alice", True, 0.0)
    unheard.heard(9.0)
    assert not is_deaf(unheard.seconds(18.0))
    assert is_deaf(unheard.seconds(19.0))


def test_mute_when_livekit_never_lists_it() -> None:
    inaudible = MuteProbe()
    inaudible.speaks(True, 0.0)
    inaudible.speaks(False, 3.0)
    inaudible.speaks(True, 10.0)
    assert not is_mute(inaudible.seconds(10.9), muted=False)
    assert is_mute(inaudible.seconds(11.0), muted=False)
    assert inaudible.seconds(11.0) == MUTE_SECONDS


def test_being_listed_once_is_being_heard() -> None:
    inaudible = MuteProbe()
    inaudible.speaks(True, 0.0)
    inaudible.listed(True, 0.5)
    assert inaudible.seconds(60.0) == 0.0
    inaudible.listed(False, 60.0)
    assert inaudible.seconds(62.0) == 2.0


def test_a_muted_track_is_mute_at_once() -> None:
    assert is_mute(0.0, muted=True)


def test_turns_in_a_row_that_fail() -> None:
    failures = ProviderProbe()
    for _ in range(TURNS - 1):
        failures.failed("llm_error")
        failures.failed("tts_error")
    assert (failures.role(), failures.some) == ("", True)
    failures.worked("llm", "tts")
    assert not failures.some
    failures.failed("llm_error")
    assert failures.role() == ""
    for _ in range(TURNS - 1):
        failures.failed("llm_error")
    assert failures.role() == "llm"


def test_a_session_closed_by_an_error_has_failed() -> None:
    failures = ProviderProbe()
    failures.failed("interruption_detection_error")
    failures.closed("stt_error")
    assert failures.role() == "stt"


def test_a_connection_that_comes_back_in_time_is_none_of_our_business() -> None:
    lost = DisconnectedProbe()
    lost.connected(False, 0.0)
    lost.connected(True, 9.0)
    lost.connected(False, 10.0)
    lost.connected(False, 15.0)
    assert not is_disconnected(lost.seconds(19.0))
    assert is_disconnected(lost.seconds(20.0))
    assert lost.seconds(20.0) == DISCONNECTED_SECONDS


def test_stuck_after_silence() -> None:
    heartbeat = Heartbeat(0.0)
    for now in range(1, 6):
        heartbeat.tick(float(now))
    assert not heartbeat.stuck
    heartbeat.tick(STUCK_SECONDS + 1)
    assert heartbeat.stuck
    heartbeat.beat()
    assert not heartbeat.stuck


def test_a_supervisor_that_was_frozen_itself_accuses_nobody() -> None:
    heartbeat = Heartbeat(0.0)
    heartbeat.tick(3600.0)
    assert not heartbeat.stuck


@pytest.mark.parametrize(
    ("vitals", "problem"),
    [
        (HealthReport(), None),
        (HealthReport(speaking=True, unheard=9.9, inaudible=3.9, lost=9.9), None),
        (HealthReport(unheard=10.0), Problem.DEAF),
        (HealthReport(inaudible=4.0, unheard=10.0), Problem.MUTE),
        (HealthReport(failing="llm", inaudible=4.0), Problem.PROVIDER_FAILING),
        (HealthReport(lost=10.0, failing="stt", muted=True, unheard=10.0), Problem.DISCONNECTED),
    ],
)
def test_the_cause_comes_before_its_symptoms(vitals: HealthReport, problem: Problem | None) -> None:
    found = diagnose(vitals)
    assert (None if found is None else found.problem) is problem


def test_vitals_travel() -> None:
    vitals = HealthReport(True, 1.0, 2.0, True, 3.0, "tts", True)
    assert HealthReport.from_json(vitals.to_json()) == vitals


def test_the_budget_comes_back_with_time() -> None:
    remedies = HealthRestarts()
    assert [remedies.take(float(n)) for n in range(BUDGET + 1)] == [True] * BUDGET + [False]
    assert remedies.take(WINDOW_SECONDS + 0.5)
