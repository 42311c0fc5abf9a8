"""How long a pod takes to end."""

from voicesession_agent.supervisor.app import FLUSH_SECONDS, HANG_UP_SECONDS
from voicesession_agent.supervisor.job_pool import CLOSE_SECONDS

SHORTEST_GRACE_SECONDS = 5.0
"""A pod that is replaced in the middle of a session gets no more before SIGKILL."""
LOADED_LETTA_SECONDS = 2.0


def test_the_last_turns_have_time_to_be_stored_before_the_pod_is_killed() -> None:
    assert FLUSH_SECONDS >= LOADED_LETTA_SECONDS
    assert CLOSE_SECONDS + FLUSH_SECONDS + HANG_UP_SECONDS < SHORTEST_GRACE_SECONDS
