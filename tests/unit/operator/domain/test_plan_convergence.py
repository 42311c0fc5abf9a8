"""Properties of plan() carried out again and again in a simulated world that misbehaves."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voicesession_common.api.conditions import is_condition_true
from voicesession_common.api.timestamps import is_rfc3339, to_rfc3339
from voicesession_common.api.voicesession import Status
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import agent, session
from tests.support.fakes.simulated_cluster import SimulatedCluster


def mend_livekit(world: SimulatedCluster, up: bool) -> None:
    world.livekit_up = up


def set_agent(world: SimulatedCluster, there: bool) -> None:
    world.agent = agent() if there else None


def pass_time(world: SimulatedCluster, seconds: float) -> None:
    world.now += seconds


def delete_pods(world: SimulatedCluster) -> None:
    world.pods = {name: replace(pod, deleting=True) for name, pod in world.pods.items()}


def ask_for_the_end(world: SimulatedCluster) -> None:
    world.session = replace(world.session, end=True)


def ask_for_a_reset(world: SimulatedCluster, value: str = "") -> None:
    world.session = replace(world.session, reset_request=value or to_rfc3339(world.now))


def silence(world: SimulatedCluster, silent: bool) -> None:
    world.silent = silent


def forget_hints(world: SimulatedCluster) -> None:
    world.leave_hint = None


HAPPENINGS: dict[str, Callable[[SimulatedCluster], None]] = {
    "nothing": lambda world: None,
    "start pods": SimulatedCluster.start_pods,
    "pods fail": lambda world: world.end_pods("Failed"),
    "pods finish": lambda world: world.end_pods("Succeeded"),
    "pods vanish": lambda world: world.end_pods(None),
    "pods are deleted": delete_pods,
    "room lost": SimulatedCluster.lose_room,
    "livekit down": lambda world: mend_livekit(world, False),
    "livekit up": lambda world: mend_livekit(world, True),
    "the newest pod fails": lambda world: world.end_pods("Failed", newest_only=True),
    "the agent is lost from the room": SimulatedCluster.lose_agent,
    "jobs hang": lambda world: world.let_jobs_run(False),
    "jobs run": lambda world: world.let_jobs_run(True),
    "control ports are silent": lambda world: silence(world, True),
    "control ports answer": lambda world: silence(world, False),
    "agent deleted": lambda world: set_agent(world, False),
    "agent created": lambda world: set_agent(world, True),
    "alice comes": lambda world: world.enter("alice"),
    "bob comes": lambda world: world.enter("bob"),
    "someone leaves": lambda world: world.exit(LeaveReason.LEFT),
    "someone is cut off": lambda world: world.exit(LeaveReason.CONNECTION_LOST),
    "a second passes": lambda world: pass_time(world, 1),
    "half a minute passes": lambda world: pass_time(world, 30),
    "end": ask_for_the_end,
    "a reset is asked for": ask_for_a_reset,
    "a reset is asked for in vain": lambda world: ask_for_a_reset(world, "at once, please"),
    "hints are forgotten": forget_hints,
    "operator dies after one action": lambda world: world.begin_pass(actions=1),
    "operator dies before its write": lambda world: world.begin_pass(actions=99),
    "operator dies after a decision": SimulatedCluster.decide_only,
}


def happen(world: SimulatedCluster, what: str) -> None:
    HAPPENINGS[what](world)
    if not what.startswith("operator dies"):
        world.reconcile()


def settle(world: SimulatedCluster, passes: int = 200) -> None:
    """Mend everything, then do nothing but wait as long as each plan says."""
    world.livekit_up, world.agent, world.silent = True, agent(), False
    world.let_jobs_run(True)
    for _ in range(passes):
        world.start_pods()
        found = world.reconcile()
        if world.gone or found.requeue_after is None:
            return
        world.now += found.requeue_after


def begun(action: str) -> SimulatedCluster:
    return SimulatedCluster(session=session().action(action).graces(0, 5).limits(max_replacements=2).build())


LIVES = st.lists(st.sampled_from(tuple(HAPPENINGS)), max_size=40)
ACTIONS = st.sampled_from(("Teardown", "Reset", "Recycle"))
MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(LIVES, ACTIONS)
def test_never_two_live_pods_but_the_old_and_the_new_of_a_recycle(life: list[str], action: str) -> None:
    world = begun(action)
    for what in life:
        happen(world, what)
    assert world.most_live_without_recycle <= 1
    assert world.most_live <= (2 if action == "Recycle" else 1)


@MANY
@given(LIVES, ACTIONS)
def test_every_pass_comes_to_rest(life: list[str], action: str) -> None:
    world = begun(action)
    for what in life:
        happen(world, what)
        first = world.reconcile()
        writes, events = world.writes, len(world.events)
        second = world.reconcile()
        asked = {type(action).__name__ for action in first.actions}
        busy = {"DeleteRoom", "DeleteSession"} | ({"SetPodState"} if world.silent else set())
        assert asked <= busy, "only a LiveKit that is down keeps a pass busy"
        if first.requeue_after != 0.0:
            assert second.status == first.status
            assert (world.writes, len(world.events)) == (writes, events)


@MANY
@given(LIVES, ACTIONS)
def test_status_never_goes_back(life: list[str], action: str) -> None:
    world = begun(action)
    for what in life:
        happen(world, what)
    for before, after in pairwise(world.history):
        for number in ("replacements", "resets", "recycles", "agent_epoch"):
            assert getattr(after, number) >= getattr(before, number), number
        for once in ("started_at", "ready_at", "first_human_at", "finished_at"):
            assert getattr(before, once) in (None, getattr(after, once)), once
        if before.finished_at is not None:
            assert after == before


@MANY
@given(LIVES, ACTIONS)
def test_everything_is_cleaned_up_in_the_end(life: list[str], action: str) -> None:
    world = SimulatedCluster(
        session=session().action(action).limits(max_duration_seconds=120, join_seconds=60).ttl(30).build()
    )
    for what in life:
        happen(world, what)
    settle(world)
    assert world.gone
    assert (world.room_sid, world.pods) == ("", {})
    assert is_condition_true(world.session.status.conditions, "Finished")


@MANY
@given(LIVES, ACTIONS)
def test_replacements_stay_within_their_limit(life: list[str], action: str) -> None:
    world = begun(action)
    for what in life:
        happen(world, what)
    assert world.session.status.replacements <= world.session.limits.max_replacements


@MANY
@given(LIVES, st.sampled_from(("Reset", "Recycle")))
def test_a_reset_is_neither_doubled_nor_lost(life: list[str], action: str) -> None:
    world = begun(action)
    for what in life:
        happen(world, what)
    for before, after in pairwise(world.history):
        assert after.resets - before.resets in (0, 1)
        if after.resets > before.resets and after.last_reset and after.last_reset.cause == "LastHumanLeft":
            assert before.humans or before.last_human_left_at is not None
    assert max(Counter(requests_begun(world)).values(), default=1) == 1, "once for each value"
    world.people.clear()
    settle(world, passes=40)
    status = world.session.status
    if status.finished_at is None:
        assert status.last_human_left_at is None
        assert status.last_reset is None or status.last_reset.completed_at is not None
        assert world.jobs[world.occupant] >= 1 + status.resets
        if is_rfc3339(world.session.reset_request):
            assert status.last_reset is not None
            assert status.last_reset.request == world.session.reset_request


def requests_begun(world: SimulatedCluster) -> list[str]:
    """The request of each reset that was begun for one, in their order."""
    resets = [
        after.last_reset
        for before, after in pairwise(world.history)
        if after.resets > before.resets and after.last_reset is not None
    ]
    return [reset.request for reset in resets if reset.cause == "Requested"]


def ordinary_life() -> SimulatedCluster:
    world = SimulatedCluster()
    steps = ("nothing", "start pods", "alice comes", "a second passes", "someone leaves")
    for what in steps:
        happen(world, what)
    settle(world)
    return world


def test_an_ordinary_life_costs_five_writes_and_four_events() -> None:
    world = ordinary_life()
    assert world.gone
    assert world.writes == 5
    assert [event.reason for event in world.events] == ["Ready", "HumanJoined", "HumanLeft", "Finished"]
    assert world.session.status.end_reason == "LastHumanLeft"


@pytest.mark.parametrize("lost", ["pods fail", "pods vanish", "pods are deleted"])
def test_a_call_survives_its_pod(lost: str) -> None:
    world = SimulatedCluster()
    for what in ("nothing", "start pods", "alice comes", "half a minute passes", lost, "start pods"):
        happen(world, what)
    status: Status = world.session.status
    assert is_condition_true(status.conditions, "Ready")
    assert (status.replacements, status.humans, world.rooms_made) == (1, 1, 1)
    assert [event.reason for event in world.events] == ["Ready", "HumanJoined", "AgentReplaced"]
