"""Restart delays of dead jobs, the limits at which the pod gives up, and jobs that are shutting down."""

import pytest
from voicesession_agent.supervisor.job_run import (
    BUDGET,
    DEATHS,
    MAX_DELAY_SECONDS,
    SUPERSEDED_DELAY_SECONDS,
    DrainingJob,
    ExitCause,
    RestartPolicy,
)

from tests.support.fakes.supervisor_world import FakeJob


class LateJob(FakeJob):
    """A job whose answer to its dismissal arrives at its end."""

    draining: DrainingJob

    def end_programs(self) -> int:
        self.draining.extend(60.0)
        return super().end_programs()


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


@pytest.mark.parametrize("seconds", [0.0, 60.0])
async def test_late_answer_of_an_ending_job_is_ignored(seconds: float) -> None:
    job = LateJob(1)
    job.draining = DrainingJob(1, job, seconds)
    if seconds:
        job.die()
    await job.draining.drain()
    assert job.killed is (seconds == 0)
    assert job.programs_ended
