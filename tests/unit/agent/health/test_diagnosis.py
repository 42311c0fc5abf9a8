"""Diagnosis of a health report, the budget of restarts and the heartbeat."""

import pytest
from voicesession_agent.health.diagnosis import (
    BUDGET,
    MESSAGE_CHARACTERS,
    SPEECH_PROOF_SECONDS,
    STUCK,
    STUCK_SECONDS,
    WINDOW_SECONDS,
    Diagnosis,
    HealthReport,
    HealthRestarts,
    Heartbeat,
    Problem,
    diagnose,
)

LONGEST_POLL_SECONDS = 12.0
"""Longest poll interval of the operator: 10 s plus 20 %."""


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (HealthReport(), None),
        (HealthReport(speaking=True, unheard=9.9, inaudible=3.9, lost=19.9), None),
        (HealthReport(unheard=10.0), Problem.DEAF),
        (HealthReport(inaudible=4.0, unheard=10.0), Problem.MUTE),
        (HealthReport(failing="llm", unheard=10.0), Problem.PROVIDER_FAILING),
        (HealthReport(failing="llm", muted=True), Problem.MUTE),
        (HealthReport(failing="llm", broken=True, muted=True), Problem.PROVIDER_FAILING),
        (HealthReport(lost=20.0, failing="stt", muted=True, unheard=10.0), Problem.DISCONNECTED),
    ],
)
def test_diagnose_cause_precedes_symptoms(report: HealthReport, problem: Problem | None) -> None:
    diagnosis = diagnose(report)
    assert (None if diagnosis is None else diagnosis.problem) is problem


def test_health_report_survives_json() -> None:
    report = HealthReport(True, 1.0, 2.0, True, 3.0, "tts", True, True)
    assert HealthReport.from_json(report.to_json()) == report


def test_speech_problem_stays_visible_longer_than_operator_poll() -> None:
    assert SPEECH_PROOF_SECONDS > LONGEST_POLL_SECONDS


@pytest.mark.parametrize("broken", [True, False])
def test_provider_failure_is_curable_only_in_closed_session(broken: bool) -> None:
    diagnosis = diagnose(HealthReport(failing="llm openai: timeout, 3 turns", broken=broken))
    assert diagnosis is not None
    assert HealthRestarts().can_help(diagnosis) is broken


def test_health_report_bounds_message() -> None:
    raw = HealthReport(failing="x" * 5000).to_json()
    assert len(HealthReport.from_json(raw).failing) == MESSAGE_CHARACTERS


def test_restart_budget_recovers_with_time() -> None:
    restarts = HealthRestarts()
    assert [restarts.take(STUCK, float(n)) for n in range(BUDGET + 1)] == [True] * BUDGET + [False]
    assert restarts.take(STUCK, WINDOW_SECONDS + 0.5)


def test_second_deaf_job_is_not_restarted() -> None:
    restarts, deaf = HealthRestarts(), Diagnosis(Problem.DEAF, "")
    assert restarts.can_help(deaf)
    restarts.take(deaf, 0.0)
    assert not restarts.can_help(deaf)
    assert restarts.can_help(STUCK)


def test_missing_heartbeats_mean_stuck() -> None:
    heartbeat = Heartbeat(0.0)
    for now in range(1, 6):
        heartbeat.tick(float(now))
    assert not heartbeat.stuck
    heartbeat.tick(STUCK_SECONDS + 1)
    assert heartbeat.stuck
    heartbeat.beat()
    assert not heartbeat.stuck


def test_pause_of_supervisor_does_not_mean_stuck() -> None:
    heartbeat = Heartbeat(0.0)
    heartbeat.tick(3600.0)
    assert not heartbeat.stuck
