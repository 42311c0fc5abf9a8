"""Shutdown deadlines of the pod."""

from voicesession_agent.supervisor.app import FLUSH_SECONDS, SHUTDOWN_SECONDS
from voicesession_agent.supervisor.job_pool import CLOSE_SECONDS

SHORTEST_GRACE_SECONDS = 5.0
"""A pod that is replaced in the middle of a session gets no more before SIGKILL."""
LOADED_LETTA_SECONDS = 2.0


def test_shutdown_deadlines_fit_into_pod_grace_period() -> None:
    assert FLUSH_SECONDS >= LOADED_LETTA_SECONDS
    assert CLOSE_SECONDS + FLUSH_SECONDS + SHUTDOWN_SECONDS < SHORTEST_GRACE_SECONDS
