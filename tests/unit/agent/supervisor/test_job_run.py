"""When a dead job is started again, and when the pod gives up."""

from voicesession_agent.supervisor.job_run import (
    BUDGET,
    DEATHS,
    MAX_DELAY_SECONDS,
    SUPERSEDED_DELAY_SECONDS,
    ExitCause,
    RestartPolicy,
)


def test_a_job_that_had_worked_is_restarted_at_once() -> None:
    policy = RestartPolicy()
    assert [policy.after(lived=60, end=ExitCause.DIED, now=n * 70.0) for n in range(20)] == [0.0] * 20


def test_quick_failures_wait_longer_each_time_and_end() -> None:
    policy = RestartPolicy()
    delays = [policy.after(lived=0.1, end=ExitCause.DIED, now=float(n)) for n in range(BUDGET)]
    assert delays == [0.0, 0.5, 1.0, 2.0, None]


def test_quick_failures_far_apart_are_forgiven() -> None:
    policy = RestartPolicy()
    assert [policy.after(lived=1, end=ExitCause.DIED, now=n * 70.0) for n in range(20)] == [0.0] * 20


def test_jobs_that_die_after_a_few_sentences_end_it_too() -> None:
    policy = RestartPolicy()
    delays = [policy.after(lived=11, end=ExitCause.DIED, now=n * 11.0) for n in range(DEATHS)]
    assert delays == [0.0] * (DEATHS - 1) + [None]


def test_a_room_that_cannot_be_joined_never_uses_up_the_budget() -> None:
    policy = RestartPolicy()
    delays = [policy.after(lived=0.1, end=ExitCause.REFUSED, now=float(n)) for n in range(50)]
    assert delays[0] == 0.5
    assert delays[-1] == MAX_DELAY_SECONDS


def test_a_superseded_job_waits_until_its_pod_would_be_gone() -> None:
    policy = RestartPolicy()
    delays = {policy.after(lived=1, end=ExitCause.SUPERSEDED, now=float(n)) for n in range(20)}
    assert delays == {SUPERSEDED_DELAY_SECONDS}
