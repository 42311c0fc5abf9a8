"""The reconciler of sessions and warm pods."""

import pytest
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.domain.observed import AgentPodState
from voicesession_operator.domain.pods import CLAIMED_START_SECONDS

from tests.support import operator_objects
from tests.support.builders import ROOM, agent_participant, bound
from tests.support.fakes.reconciler_world import ReconcilerWorld


def world_with_warm_pods(count: int) -> ReconcilerWorld:
    world = ReconcilerWorld()
    world.cache.upsert(ResourceKind.POOL, world.kube.put("voicepools", operator_objects.pool()))
    for number in range(count):
        world.cache.upsert(ResourceKind.POD, world.kube.put("pods", operator_objects.warm_pod(number)))
        world.pods.states[f"front-uid-{number}"] = AgentPodState("Unbound")
    return world


def own_pods(world: ReconcilerWorld) -> list[JsonObject]:
    found = (raw for (kind, _), raw in world.kube.objects.items() if kind == "pods")
    return [raw for raw in found if constants.SESSION_UID_LABEL in raw["metadata"]["labels"]]


async def test_warm_start_needs_two_writes() -> None:
    world = world_with_warm_pods(1)
    started_at = to_rfc3339(world.now)
    assert await world.reconcile() == pytest.approx(CLAIMED_START_SECONDS, abs=0.1)
    assert [desired["epoch"] for desired in world.pods.received] == [1]
    assert world.kube.writes == ["patch pods itself"]
    world.rooms.rooms[ROOM].append(agent_participant())
    world.pods.states["front-uid-0"] = bound()
    world.now += 0.5
    await world.reconcile()
    assert world.kube.writes == ["patch pods itself", "patch voicesessions"]
    status = world.session()["status"]
    assert (status["agent"]["pod"], status["agent"]["podOrdinal"]) == ("front-0", 0)
    assert (status["startedAt"], status["readyAt"]) == (started_at, to_rfc3339(world.now))


async def test_slow_warm_start_is_stored_after_a_second() -> None:
    world = world_with_warm_pods(1)
    await world.reconcile()
    world.now += CLAIMED_START_SECONDS
    await world.reconcile()
    assert world.session()["status"]["agent"]["pod"] == "front-0"
    assert world.condition("AgentJoined")["reason"] == "Starting"


async def test_session_without_a_warm_pod_starts_cold() -> None:
    world = world_with_warm_pods(0)
    await world.reconcile()
    assert world.kube.writes == ["create pods", "patch voicesessions"]


async def world_after_loss(warm_pods: int) -> ReconcilerWorld:
    """Return a world a minute after the session has lost its claimed pod."""
    world = world_with_warm_pods(warm_pods)
    await world.reconcile()
    world.rooms.rooms[ROOM].append(agent_participant())
    world.pods.states["front-uid-0"] = bound()
    await world.reconcile()
    world.cache.remove(ResourceKind.POD, world.kube.objects.pop(("pods", "front-0")))
    world.rooms.rooms[ROOM].clear()
    world.now += 60
    return world


async def test_lost_pod_is_replaced_by_warm_pod() -> None:
    world = await world_after_loss(warm_pods=2)
    await world.reconcile()
    status = world.session()["status"]
    assert (status["agent"]["pod"], status["agent"]["podOrdinal"], status["replacements"]) == ("front-1", 1, 1)


async def test_lost_warm_pod_is_noticed_by_the_next_leader() -> None:
    world = await world_after_loss(warm_pods=1)
    world.replace_reconciler()
    await world.reconcile()
    assert world.session()["status"]["replacements"] == 1
    assert world.pod()["metadata"]["annotations"][constants.ORDINAL_ANNOTATION] == "1"


async def test_second_pod_of_same_ordinal_is_deleted() -> None:
    world = world_with_warm_pods(1)
    await world.reconcile()
    world.now += CLAIMED_START_SECONDS
    await world.reconcile()
    double = operator_objects.pod(phase="Running", podIP="10.0.0.2")
    world.cache.upsert(ResourceKind.POD, world.kube.put("pods", double))
    await world.reconcile()
    left = [raw["metadata"]["name"] for raw in own_pods(world) if "deletionTimestamp" not in raw["metadata"]]
    assert left == ["front-0"]


async def test_successor_of_a_recycle_is_claimed_and_named() -> None:
    world = world_with_warm_pods(2)
    world.change_spec(onLastHumanLeft={"action": "Recycle", "graceSeconds": 0, "reconnectGraceSeconds": 0})
    await world.reconcile()
    world.rooms.rooms[ROOM].append(agent_participant())
    world.pods.states["front-uid-0"] = bound()
    await world.reconcile()
    session = world.session()
    left = {**session, "status": {**session["status"], "firstHumanAt": session["status"]["readyAt"]}}
    left["status"] |= {"lastHumanLeftAt": session["status"]["readyAt"], "lastHumanLeftReason": "Left"}
    world.cache.upsert(ResourceKind.SESSION, world.kube.put("voicesessions", left))
    world.now += 5
    await world.reconcile()
    agent = world.session()["status"]["agent"]
    assert (agent["pod"], agent["nextPod"]) == ("front-0", "front-1")
