"""LiveKit's list of participants lags behind those who see each other come and go: it is asked again, for a while."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.requeue import ARRIVING_SECONDS, LEAVING_SECONDS, POLL_TRANSITION_SECONDS

from tests.support.builders import CONFIG, T0, agent_participant, bound, human, joined_cluster, ready_session
from tests.support.plan_queries import decide

NOW = T0 + 100
POLL = CONFIG.poll_seconds


@pytest.mark.parametrize(
    ("ago", "who", "again"),
    [
        (0.02, "alice", POLL_TRANSITION_SECONDS),
        (-0.5, "alice", POLL_TRANSITION_SECONDS),
        (LEAVING_SECONDS, "alice", POLL),
        (0.02, "bob", POLL),
    ],
)
def test_a_departure_that_only_the_agent_has_seen(ago: float, who: str, again: float) -> None:
    state = bound(left_identity=who, left_reason="CLIENT_INITIATED", left_at=NOW - ago)
    world = joined_cluster().room(agent_participant(), human("alice")).state(state)
    assert decide(ready_session(), world, NOW).requeue_after == again


@pytest.mark.parametrize(("ago", "again"), [(0.5, POLL_TRANSITION_SECONDS), (ARRIVING_SECONDS, POLL)])
def test_somebody_who_is_still_connecting(ago: float, again: float) -> None:
    coming = replace(human("alice", joined_at=NOW - ago), active=False)
    found = decide(ready_session(), joined_cluster().room(agent_participant(), coming), NOW)
    assert (found.status.humans, found.requeue_after) == (0, again)


def test_an_agent_that_is_connecting_is_nobody_to_wait_for() -> None:
    other = replace(agent_participant("PA_other", active=False), joined_at=NOW)
    assert decide(ready_session(), joined_cluster().room(agent_participant(), other), NOW).requeue_after == POLL
