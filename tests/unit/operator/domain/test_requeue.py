"""Poll intervals while a human joins or leaves, because LiveKit's list of participants lags behind."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.observed import ParticipantKind
from voicesession_operator.domain.requeue import (
    ARRIVING_SECONDS,
    LEAVING_SECONDS,
    POLL_TRANSITION_SECONDS,
    POLL_UNANSWERED_CALL_SECONDS,
)

from tests.support.builders import CONFIG, T0, agent_participant, bound, human, joined_cluster, ready_session
from tests.support.plan_queries import decide

NOW = T0 + 100
POLL = CONFIG.poll_seconds


@pytest.mark.parametrize(
    ("ago", "identity", "interval"),
    [
        (0.02, "alice", POLL_TRANSITION_SECONDS),
        (-0.5, "alice", POLL_TRANSITION_SECONDS),
        (LEAVING_SECONDS, "alice", POLL),
        (0.02, "bob", POLL),
    ],
)
def test_leave_seen_by_agent_shortens_poll_interval(ago: float, identity: str, interval: float) -> None:
    state = bound(left_identity=identity, left_reason="CLIENT_INITIATED", left_at=NOW - ago)
    cluster = joined_cluster().room(agent_participant(), human("alice")).state(state)
    assert decide(ready_session(), cluster, NOW).requeue_after == interval


@pytest.mark.parametrize(("ago", "interval"), [(0.5, POLL_TRANSITION_SECONDS), (ARRIVING_SECONDS, POLL)])
def test_connecting_human_shortens_poll_interval(ago: float, interval: float) -> None:
    connecting = replace(human("alice", joined_at=NOW - ago), active=False)
    found = decide(ready_session(), joined_cluster().room(agent_participant(), connecting), NOW)
    assert (found.status.humans, found.requeue_after) == (0, interval)


@pytest.mark.parametrize(("status", "interval"), [("ringing", POLL_UNANSWERED_CALL_SECONDS), ("active", POLL)])
def test_unanswered_sip_call_shortens_poll_interval(status: str, interval: float) -> None:
    callee = human(kind=ParticipantKind.SIP, attributes={"sip.callStatus": status}, joined_at=NOW - 20)
    assert decide(ready_session(), joined_cluster().room(agent_participant(), callee), NOW).requeue_after == interval


def test_connecting_agent_keeps_poll_interval() -> None:
    other = replace(agent_participant("PA_other", active=False), joined_at=NOW)
    assert decide(ready_session(), joined_cluster().room(agent_participant(), other), NOW).requeue_after == POLL
