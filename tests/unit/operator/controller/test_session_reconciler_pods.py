"""The reconciler of sessions and pods that the watch by label does not show."""

import pytest
from voicesession_common.errors import RetryableError
from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.domain.naming import pod_name

from tests.support.builders import ROOM, UID, agent_participant, bound
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld


async def world_of_new_leader() -> ReconcilerWorld:
    """Return a world with the agent in the room, and a leader whose list by label did not show the agent's pod."""
    before = ReconcilerWorld()
    await before.reconcile()
    before.change_pod(phase="Running", podIP="10.0.0.1")
    before.rooms.rooms[ROOM].append(agent_participant())
    before.pods.states[before.pod()["metadata"]["uid"]] = bound()
    await before.reconcile()
    assert before.condition("Ready")["status"] == "True"
    after = ReconcilerWorld()
    after.kube.version = before.kube.version
    after.kube.objects.update(before.kube.objects)
    after.rooms.rooms.update(before.rooms.rooms)
    after.pods.states.update(before.pods.states)
    after.cache.upsert(ResourceKind.SESSION, after.session())
    return after


async def test_unseen_pod_keeps_serving_without_a_successor() -> None:
    world = await world_of_new_leader()
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    assert [raw["metadata"]["name"] for raw in world.cache.pods_of("default", UID)] == [pod_name("hello", UID, 0)]
    assert world.kube.writes == []


async def test_unseen_pod_is_deleted_at_the_end() -> None:
    world = await world_of_new_leader()
    world.change_spec(end=True)
    await world.reconcile()
    await world.reconcile()
    assert "deletionTimestamp" in world.pod()["metadata"]


async def test_missing_pod_is_replaced() -> None:
    world = await world_of_new_leader()
    del world.kube.objects["pods", pod_name("hello", UID, 0)]
    world.rooms.rooms[ROOM].clear()
    world.now += 60
    await world.reconcile()
    assert world.pod()["metadata"]["name"] == pod_name("hello", UID, 1)


async def test_no_successor_is_created_while_the_pod_cannot_be_read() -> None:
    world = await world_of_new_leader()
    world.kube.errors["get pods"] = RetryableError("KubernetesUnavailable", "down")
    with pytest.raises(RetryableError):
        await world.reconcile()
    assert world.kube.writes == []
    assert world.cache.get(ResourceKind.SESSION, HELLO) is not None


async def test_pod_of_another_owner_with_the_recorded_name_is_ignored() -> None:
    world = await world_of_new_leader()
    name = pod_name("hello", UID, 0)
    foreign = world.kube.objects["pods", name]["metadata"]
    foreign["ownerReferences"] = [{"uid": "another-owner", "controller": True}]
    await world.reconcile()
    assert list(world.cache.all(ResourceKind.POD)) == world.cache.pods_of("default", UID)


async def test_finished_session_has_a_single_timer_and_asks_no_pod() -> None:
    world = ReconcilerWorld()
    world.change_spec(ttlSecondsAfterFinished=600, end=True)
    for _ in range(4):
        wait = await world.reconcile()
    assert world.session()["status"]["endReason"] == "Requested"
    world.pod_watcher.asked.clear()
    assert await world.reconcile() == pytest.approx(600)
    assert wait == pytest.approx(600), "the end of the TTL, without a jitter"
    assert world.pod_watcher.asked == []
    world.now += 600
    assert await world.reconcile() is None
    assert "delete voicesessions" in world.kube.writes
