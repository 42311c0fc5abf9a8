"""The end: what ends a session, what is torn down, and that nothing ever takes it back."""

import pytest
from voicesession_operator.domain.actions import DeletePod, DeleteRoom, DeleteSession
from voicesession_operator.domain.lifecycle import cleanup_actions

from tests.support.builders import (
    ROOM,
    T0,
    UID,
    ObservedBuilder,
    SessionBuilder,
    agent_participant,
    empty_cluster,
    human,
    joined_cluster,
    pod,
    ready_session,
    session,
)
from tests.support.plan_queries import action_kinds, decide, reasons, status_and_reason

TALKING = joined_cluster().room(agent_participant(), human())


def finished(at: float = T0 + 100) -> SessionBuilder:
    return session().stored(decide(ready_session().ending(), TALKING, at).status)


@pytest.mark.parametrize("world", [TALKING, TALKING.livekit_down(), empty_cluster().no_agent().no_room()])
def test_end_is_obeyed_whatever_the_world_says(world: ObservedBuilder) -> None:
    found = decide(ready_session().ending(), world, T0 + 50)
    assert (found.status.end_reason, found.status.finished_at) == ("Requested", T0 + 50)
    assert status_and_reason(found.status, "Finished") == ("True", "Requested")
    assert status_and_reason(found.status, "Ready") == ("False", "Finished")


def test_the_end_is_stored_before_anything_is_torn_down() -> None:
    found = decide(ready_session().ending(), TALKING, T0 + 50)
    assert (found.actions, found.requeue_after) == ((), 0.0)


@pytest.mark.parametrize("world", [TALKING, TALKING.livekit_down()])
def test_max_duration_counts_from_ready(world: ObservedBuilder) -> None:
    start = ready_session().limits(max_duration_seconds=60)
    assert decide(start, world, T0 + 64.9).status.end_reason == ""
    assert decide(start, world, T0 + 65).status.end_reason == "MaxDuration"


def test_limits_can_be_changed_while_it_lives() -> None:
    assert decide(ready_session().limits(max_duration_seconds=9000), TALKING, T0 + 4000).status.end_reason == ""


def test_the_first_reason_in_rank_is_given() -> None:
    start = ready_session().limits(max_duration_seconds=1, join_seconds=1).ending()
    assert decide(start, joined_cluster(), T0 + 500).status.end_reason == "Requested"


def test_room_and_pods_go() -> None:
    found = decide(finished(), TALKING.pods(pod(0, deleting=True), pod(1)), T0 + 100)
    assert found.actions == (DeleteRoom(ROOM), DeletePod(pod(1).name, "pod-uid-1", 5))
    assert (found.status, found.events, found.requeue_after) == (finished().build().status, (), 1.0)


def test_a_room_that_cannot_be_asked_about_is_deleted_until_it_is_gone() -> None:
    down = empty_cluster().livekit_down()
    assert action_kinds(decide(finished(), down, T0 + 101)) == ["DeleteRoom"]
    failed = decide(finished(), down.failed("DeleteRoom", "LiveKitUnavailable", "x"), T0 + 101)
    assert (action_kinds(failed), failed.requeue_after) == ([], 1.0)
    assert decide(finished(), down, T0 + 200).requeue_after == 10.0


def test_time_to_live() -> None:
    gone = empty_cluster().no_room()
    waiting = decide(finished().ttl(60), gone, T0 + 130)
    assert (waiting.actions, waiting.requeue_after) == ((), 30.0)
    assert decide(finished().ttl(60), gone, T0 + 160).actions == (DeleteSession(UID),)
    assert decide(finished().ttl(0), TALKING, T0 + 100).actions[-1] == DeleteSession(UID)
    for_ever = decide(finished().ttl(None), gone, T0 + 9_000_000)
    assert (for_ever.actions, for_ever.requeue_after) == ((), None)


@pytest.mark.parametrize(
    "world", [TALKING, joined_cluster(), empty_cluster().no_room(), empty_cluster().livekit_down()]
)
def test_nothing_brings_it_back(world: ObservedBuilder) -> None:
    found = decide(finished(), world, T0 + 105)
    assert found.status == finished().build().status
    assert not {"CreateRoom", "CreatePod", "SetPodState"} & set(action_kinds(found))
    assert reasons(found) == []


def test_a_session_being_deleted_makes_nothing() -> None:
    found = decide(ready_session().deleting(), TALKING, T0 + 50)
    assert action_kinds(found) == ["DeleteRoom", "DeletePod"]
    assert found.status == ready_session().build().status


def test_farewell_needs_nothing_but_the_session() -> None:
    assert cleanup_actions(session().build()) == (DeleteRoom(ROOM),)
    pods = (pod(0, deleting=True), pod(1))
    assert cleanup_actions(session().build(), pods) == (DeleteRoom(ROOM), DeletePod(pod(1).name, "pod-uid-1", 5))
