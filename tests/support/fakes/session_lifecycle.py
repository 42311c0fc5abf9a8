"""The usual life of a session under a reconciler, up to where a test begins."""

from typing import Any

from voicesession_operator.controller.cache import Kind
from voicesession_operator.domain.observed import LeaveHint, LeaveReason, Timings

from tests.support.builders import ROOM, T0, agent_participant, bound, human
from tests.support.fakes.reconciler_world import HELLO, World


def joined(world: World, epoch: int = 1, **state: Any) -> None:
    world.rooms.rooms[ROOM] = [agent_participant(f"PA_{epoch}")]
    uid = world.pod()["metadata"]["uid"]
    world.control.states[uid] = bound(epoch=epoch, job_epoch=epoch, participant_sid=f"PA_{epoch}", **state)


async def ready(world: World | None = None, **left: Any) -> World:
    """Created at T0, seen by the operator at T0 + 1, Ready at T0 + 6."""
    world = World() if world is None else world
    world.change_spec(onLastHumanLeft=left)
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    joined(world, timings=Timings(T0 + 2, T0 + 5, T0 + 3, T0 + 5.5))
    world.now = T0 + 6
    await world.reconcile()
    return world


async def visited(world: World | None = None, **left: Any) -> World:
    """Ready at T0 + 6; a human came, and left at T0 + 100, seen at T0 + 101."""
    world = await ready(world, **left)
    world.rooms.rooms[ROOM].append(human())
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.now = T0 + 101
    world.hints.record(HELLO, LeaveHint("alice", LeaveReason.LEFT, T0 + 100))
    await world.reconcile()
    return world


async def gone(world: World) -> None:
    """What is left of its pod goes, and that is seen."""
    pod = world.pod()
    del world.kube.objects["pods", pod["metadata"]["name"]]
    world.cache.remove(Kind.POD, pod)
    for _ in range(2):
        await world.reconcile()
