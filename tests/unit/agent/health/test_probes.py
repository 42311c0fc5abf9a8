"""The probes, each with its own clock."""

import pytest
from voicesession_agent.health.diagnosis import (
    BUDGET,
    STUCK_SECONDS,
    WINDOW_SECONDS,
    Ailment,
    Pulse,
    Remedies,
    Vitals,
    diagnose,
)
from voicesession_agent.health.probes import (
    DEAF_SECONDS,
    DISCONNECTED_SECONDS,
    MUTE_SECONDS,
    TURNS,
    Failures,
    Inaudible,
    Lost,
    Unheard,
    deaf,
    disconnected,
    mute,
)


def test_deaf_after_speech_in_all_without_a_word() -> None:
    unheard = Unheard()
    for start in (0.0, 20.0, 40.0):
        unheard.speaks("alice", True, start)
        unheard.speaks("alice", False, start + 3)
    assert not deaf(unheard.seconds(45.0))
    unheard.speaks("alice", True, 50.0)
    assert deaf(unheard.seconds(51.0))
    assert unheard.seconds(51.0) == DEAF_SECONDS


def test_noises_that_lie_far_apart_are_no_speech() -> None:
    unheard = Unheard()
    for start in range(0, 3600, 20):
        unheard.speaks("alice", True, start)
        unheard.speaks("alice", False, start + 3)
        assert not deaf(unheard.seconds(start + 3))
    assert len(unheard._spells) < 10, "nothing is kept for long"
    unheard.speaks("alice", True, 5000.0)
    assert unheard.seconds(5100.0) == 60.0


def test_another_human_in_her_place_is_not_unheard() -> None:
    unheard = Unheard()
    unheard.speaks("alice", True, 0.0)
    unheard.speaks("bob", True, 9.0)
    assert unheard.seconds(10.0) == 1.0
    unheard.speaks("", False, 10.0)
    assert unheard.seconds(10.0) == 0.0


def test_a_word_heard_begins_anew() -> None:
    unheard = Unheard()
    unheard.speaks("alice", True, 0.0)
    unheard.heard(9.0)
    assert not deaf(unheard.seconds(18.0))
    assert deaf(unheard.seconds(19.0))


def test_mute_when_livekit_never_lists_it() -> None:
    inaudible = Inaudible()
    inaudible.speaks(True, 0.0)
    inaudible.speaks(False, 3.0)
    inaudible.speaks(True, 10.0)
    assert not mute(inaudible.seconds(10.9), muted=False)
    assert mute(inaudible.seconds(11.0), muted=False)
    assert inaudible.seconds(11.0) == MUTE_SECONDS


def test_being_listed_once_is_being_heard() -> None:
    inaudible = Inaudible()
    inaudible.speaks(True, 0.0)
    inaudible.listed(True, 0.5)
    assert inaudible.seconds(60.0) == 0.0
    inaudible.listed(False, 60.0)
    assert inaudible.seconds(62.0) == 2.0


def test_a_muted_track_is_mute_at_once() -> None:
    assert mute(0.0, muted=True)


def test_turns_in_a_row_that_fail() -> None:
    failures = Failures()
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
    failures = Failures()
    failures.failed("interruption_detection_error")
    failures.closed("stt_error")
    assert failures.role() == "stt"


def test_a_connection_that_comes_back_in_time_is_none_of_our_business() -> None:
    lost = Lost()
    lost.connected(False, 0.0)
    lost.connected(True, 9.0)
    lost.connected(False, 10.0)
    lost.connected(False, 15.0)
    assert not disconnected(lost.seconds(19.0))
    assert disconnected(lost.seconds(20.0))
    assert lost.seconds(20.0) == DISCONNECTED_SECONDS


def test_stuck_after_silence() -> None:
    pulse = Pulse(0.0)
    for now in range(1, 6):
        pulse.tick(float(now))
    assert not pulse.stuck
    pulse.tick(STUCK_SECONDS + 1)
    assert pulse.stuck
    pulse.beat()
    assert not pulse.stuck


def test_a_supervisor_that_was_frozen_itself_accuses_nobody() -> None:
    pulse = Pulse(0.0)
    pulse.tick(3600.0)
    assert not pulse.stuck


@pytest.mark.parametrize(
    ("vitals", "ailment"),
    [
        (Vitals(), None),
        (Vitals(speaking=True, unheard=9.9, inaudible=3.9, lost=9.9), None),
        (Vitals(unheard=10.0), Ailment.DEAF),
        (Vitals(inaudible=4.0, unheard=10.0), Ailment.MUTE),
        (Vitals(failing="llm", inaudible=4.0), Ailment.PROVIDER_FAILING),
        (Vitals(lost=10.0, failing="stt", muted=True, unheard=10.0), Ailment.DISCONNECTED),
    ],
)
def test_the_cause_comes_before_its_symptoms(vitals: Vitals, ailment: Ailment | None) -> None:
    found = diagnose(vitals)
    assert (None if found is None else found.ailment) is ailment


def test_vitals_travel() -> None:
    vitals = Vitals(True, 1.0, 2.0, True, 3.0, "tts", True)
    assert Vitals.from_json(vitals.to_json()) == vitals


def test_the_budget_comes_back_with_time() -> None:
    remedies = Remedies()
    assert [remedies.take(float(n)) for n in range(BUDGET + 1)] == [True] * BUDGET + [False]
    assert remedies.take(WINDOW_SECONDS + 0.5)
