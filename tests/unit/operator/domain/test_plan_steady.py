"""Steady plans: the same observations give the same plan until its time."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from voicesession_common.api.voiceagent import Limits
from voicesession_operator.domain.observed import AgentPodState, Failure, LeaveHint, LeaveReason, Observed, Room
from voicesession_operator.domain.plan import plan

from tests.support.builders import (
    CONFIG,
    T0,
    agent_participant,
    bound,
    connecting,
    human,
    joined_cluster,
    pod,
    ready_session,
)
from tests.support.plan_queries import decide

NOW = T0 + 100
TALK = joined_cluster().room(agent_participant(), human())
LONGEST_SECONDS = 60.0
"""A steady plan is made again after each list of the participants."""
TIMES = st.floats(T0, NOW + 30)

talking = ready_session().status(humans=1, phase="Active", first_human_at=T0 + 10)
states = st.builds(
    bound,
    humans=st.sampled_from(((), ("alice",))),
    left_identity=st.sampled_from(("", "alice")),
    left_reason=st.sampled_from(("", "CLIENT_INITIATED")),
    left_at=TIMES,
    active_at=st.one_of(st.none(), TIMES),
    token_expires_at=st.one_of(st.none(), st.floats(T0, T0 + 10_000)),
)
hints = st.lists(st.builds(LeaveHint, st.just("PA_1"), st.sampled_from(LeaveReason), TIMES, TIMES), max_size=2)
limits = st.builds(Limits, st.just(60), st.integers(1, 300), st.integers(0, 300), st.integers(100, 3600), st.just(3))


def test_talk_without_a_change_is_steady_until_the_next_deadline() -> None:
    found = decide(talking, TALK, NOW)
    assert found.status == talking.build().status
    assert found.steady_until == T0 + 5 + talking.build().limits.max_duration_seconds


def test_grace_of_the_last_human_limits_a_steady_plan() -> None:
    left = talking.graces(30, 30).status(humans=0, phase="Idle", last_human_left_at=NOW, last_human_left_reason="Left")
    alone = joined_cluster()
    stored = left.build()
    stored = replace(stored, status=decide(stored, alone, NOW + 1).status)
    assert decide(stored, alone, NOW + 2).steady_until == NOW + 30


@pytest.mark.parametrize(
    "observed",
    [
        TALK.build(),
        replace(TALK.build(), failures=(Failure("SetPodState", "Busy", "busy", True),)),
        joined_cluster().room(agent_participant(), human(), connecting(joined_at=NOW)).build(),
        replace(TALK.build(), room=None),
        replace(TALK.build(), pod_states={pod().uid: bound(epoch=0)}),
    ],
    ids=["new status", "failure", "connecting", "no room", "old epoch"],
)
def test_change_in_progress_is_not_steady(observed: Observed) -> None:
    session = ready_session() if observed == TALK.build() else talking
    assert decide(session.build(), observed, NOW).steady_until == -inf


@settings(max_examples=300, deadline=None)
@given(states, hints, limits, st.booleans(), st.floats(0, LONGEST_SECONDS))
def test_steady_plan_stays_the_same_until_the_deadline(
    state: AgentPodState, leaves: list[LeaveHint], limit: Limits, is_inside: bool, passed: float
) -> None:
    participants = (agent_participant(), human()) if is_inside else (agent_participant(),)
    room = Room("RM_1", participants)
    observed = replace(TALK.build(), room=room, pod_states={pod().uid: state}, leave_hints=tuple(leaves))
    session = replace(talking.build(), limits=limit)
    session = replace(session, status=plan(session, observed, NOW - 0.1, CONFIG).status)
    found = plan(session, observed, NOW, CONFIG)
    assume(NOW + passed < found.steady_until)
    later = plan(session, observed, NOW + passed, CONFIG)
    assert (later.status, later.actions, later.is_decision) == (session.status, (), False)
