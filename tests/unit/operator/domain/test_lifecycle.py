"""The end of a session: end reasons, cleanup, TTL, and no way back."""

import pytest
from voicesession_common.api.timestamps import StartSteps
from voicesession_operator.domain.actions import DeletePod, DeleteRoom, DeleteSession
from voicesession_operator.domain.lifecycle import cleanup_actions
from voicesession_operator.domain.observed import Timings

from tests.support.builders import (
    ROOM,
    T0,
    UID,
    ObservedBuilder,
    SessionBuilder,
    agent_participant,
    bound,
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


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        (Timings(T0 + 1, T0 + 4, T0 + 3, T0 + 4.5), (T0 + 3, T0 + 4.5)),
        (Timings(bound=T0 - 60, joined=T0 + 60), (T0 + 2, T0 + 5)),
        (Timings(bound=float("nan"), joined=float("inf")), (T0 + 2, T0 + 5)),
        (Timings(joined=T0 + 4), (None, T0 + 4)),
        (Timings(), (None, None)),
    ],
)
def test_start_has_times_of_pod_and_agent(timings: Timings, expected: tuple[float | None, ...]) -> None:
    starting = session().status(started_at=T0 + 2)
    cluster = joined_cluster().pods(pod(created_at=T0 + 1)).state(bound(timings=timings))
    start = decide(starting, cluster, T0 + 5).status.start
    assert start == StartSteps(T0 + 1, *expected)
    assert StartSteps.parse(start.render()) == start


def test_start_of_replacement_leaves_times_of_first_pod() -> None:
    cluster = joined_cluster().pods(pod(1)).state(bound(timings=Timings(bound=T0 + 50)))
    assert decide(ready_session().status(replacements=1), cluster, T0 + 60).status.start is None


@pytest.mark.parametrize("cluster", [TALKING, TALKING.livekit_down(), empty_cluster().no_agent().no_room()])
def test_requested_end_finishes_session(cluster: ObservedBuilder) -> None:
    found = decide(ready_session().ending(), cluster, T0 + 50)
    assert (found.status.end_reason, found.status.finished_at) == ("Requested", T0 + 50)
    assert status_and_reason(found.status, "Finished") == ("True", "Requested")
    assert status_and_reason(found.status, "Ready") == ("False", "Finished")


def test_end_is_stored_before_cleanup() -> None:
    found = decide(ready_session().ending(), TALKING, T0 + 50)
    assert (found.actions, found.requeue_after) == ((), 0.0)


@pytest.mark.parametrize("cluster", [TALKING, TALKING.livekit_down()])
def test_max_duration_counts_from_ready(cluster: ObservedBuilder) -> None:
    start = ready_session().limits(max_duration_seconds=60)
    assert decide(start, cluster, T0 + 64.9).status.end_reason == ""
    assert decide(start, cluster, T0 + 65).status.end_reason == "MaxDuration"


def test_limit_raised_during_session_takes_effect() -> None:
    assert decide(ready_session().limits(max_duration_seconds=9000), TALKING, T0 + 4000).status.end_reason == ""


def test_highest_ranked_end_reason_wins() -> None:
    start = ready_session().limits(max_duration_seconds=1, join_seconds=1).ending()
    assert decide(start, joined_cluster(), T0 + 500).status.end_reason == "Requested"


def test_finished_session_deletes_room_and_pods() -> None:
    found = decide(finished(), TALKING.pods(pod(0, deleting=True), pod(1)), T0 + 100)
    assert found.actions == (DeleteRoom(ROOM), DeletePod(pod(1).name, "pod-uid-1"))
    assert (found.status, found.events, found.requeue_after) == (finished().build().status, (), 1.0)


def test_unknown_room_is_deleted_until_gone() -> None:
    down = empty_cluster().livekit_down()
    assert action_kinds(decide(finished(), down, T0 + 101)) == ["DeleteRoom"]
    failed = decide(finished(), down.failed("DeleteRoom", "LiveKitUnavailable", "x"), T0 + 101)
    assert (action_kinds(failed), failed.requeue_after) == ([], 1.0)
    assert decide(finished(), down, T0 + 200).requeue_after == 10.0


def test_finished_session_is_deleted_after_ttl() -> None:
    gone = empty_cluster().no_room()
    waiting = decide(finished().ttl(60), gone, T0 + 130)
    assert (waiting.actions, waiting.requeue_after) == ((), 30.0)
    assert decide(finished().ttl(60), gone, T0 + 160).actions == (DeleteSession(UID),)
    assert decide(finished().ttl(0), TALKING, T0 + 100).actions[-1] == DeleteSession(UID)
    unlimited = decide(finished().ttl(None), gone, T0 + 9_000_000)
    assert (unlimited.actions, unlimited.requeue_after) == ((), None)


@pytest.mark.parametrize(
    "cluster", [TALKING, joined_cluster(), empty_cluster().no_room(), empty_cluster().livekit_down()]
)
def test_finished_session_stays_finished(cluster: ObservedBuilder) -> None:
    found = decide(finished(), cluster, T0 + 105)
    assert found.status == finished().build().status
    assert not {"CreateRoom", "CreatePod", "SetPodState"} & set(action_kinds(found))
    assert reasons(found) == []


def test_deleted_session_only_cleans_up() -> None:
    found = decide(ready_session().deleting(), TALKING, T0 + 50)
    assert action_kinds(found) == ["DeleteRoom", "DeletePod"]
    assert found.status == ready_session().build().status


def test_cleanup_actions_need_only_session() -> None:
    assert cleanup_actions(session().build()) == (DeleteRoom(ROOM),)
    pods = (pod(0, deleting=True), pod(1))
    assert cleanup_actions(session().build(), pods) == (DeleteRoom(ROOM), DeletePod(pod(1).name, "pod-uid-1"))
