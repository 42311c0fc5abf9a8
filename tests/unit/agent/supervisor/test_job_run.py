"""Restart delays of dead jobs, and the limits at which the pod gives up."""

from voicesession_agent.supervisor.job_run import (
    BUDGET,
    DEATHS,
    MAX_DELAY_SECONDS,
    SUPERSEDED_DELAY_SECONDS,
    ExitCause,
    RestartPolicy,
)


def test_restart_after_long_life_is_immediate() -> None:
    policy = RestartPolicy()
    assert [policy.after(lived=60, end=ExitCause.DIED, now=n * 70.0) for n in range(20)] == [0.0] * 20


def test_quick_failures_double_delay_and_give_up() -> None:
    policy = RestartPolicy()
    delays = [policy.after(lived=0.1, end=ExitCause.DIED, now=float(n)) for n in range(BUDGET)]
    assert delays == [0.0, 0.5, 1.0, 2.0, None]


def test_quick_failures_outside_window_are_forgotten() -> None:
    policy = RestartPolicy()
    assert [policy.after(lived=1, end=ExitCause.DIED, now=n * 70.0) for n in range(20)] == [0.0] * 20


def test_frequent_deaths_of_older_jobs_give_up() -> None:
    policy = RestartPolicy()
    delays = [policy.after(lived=11, end=ExitCause.DIED, now=n * 11.0) for n in range(DEATHS)]
    assert delays == [0.0] * (DEATHS - 1) + [None]


def test_refused_joins_never_give_up() -> None:
    policy = RestartPolicy()
    delays = [policy.after(lived=0.1, end=ExitCause.REFUSED, now=float(n)) for n in range(50)]
    assert delays[0] == 0.5
    assert delays[-1] == MAX_DELAY_SECONDS


def test_superseded_job_waits_for_pod_deletion() -> None:
    policy = RestartPolicy()
    delays = {policy.after(lived=1, end=ExitCause.SUPERSEDED, now=float(n)) for n in range(20)}
    assert delays == {SUPERSEDED_DELAY_SECONDS}
