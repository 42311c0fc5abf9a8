"""Stages of a session's life in a `ReconcilerWorld`, as starting points of tests."""

from typing import Any

from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.domain.observed import LeaveHint, LeaveReason, Timings

from tests.support.builders import ROOM, T0, agent_participant, bound, human
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld


def join_agent(world: ReconcilerWorld, epoch: int = 1, **state: Any) -> None:
    """Put the agent's job of this epoch into the room, alone."""
    world.rooms.rooms[ROOM] = [agent_participant(f"PA_{epoch}")]
    uid = world.pod()["metadata"]["uid"]
    world.pods.states[uid] = bound(epoch=epoch, job_epoch=epoch, participant_sid=f"PA_{epoch}", **state)


async def ready(world: ReconcilerWorld | None = None, **on_last_human_left: Any) -> ReconcilerWorld:
    """Return a world with a session that was created at T0, first reconciled at T0 + 1 and Ready at T0 + 6."""
    world = ReconcilerWorld() if world is None else world
    world.change_spec(onLastHumanLeft=on_last_human_left)
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    join_agent(world, timings=Timings(T0 + 2, T0 + 5, T0 + 3, T0 + 5.5))
    world.now = T0 + 6
    await world.reconcile()
    return world


async def visited(world: ReconcilerWorld | None = None, **on_last_human_left: Any) -> ReconcilerWorld:
    """Return a ready world whose only human left at T0 + 100, reported and observed at T0 + 101."""
    world = await ready(world, **on_last_human_left)
    world.rooms.rooms[ROOM].append(human())
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.now = T0 + 101
    world.leave_hints.record(HELLO, LeaveHint("PA_alice", LeaveReason.LEFT, world.now, T0 + 100))
    await world.reconcile()
    return world


async def remove_pod(world: ReconcilerWorld) -> None:
    """Remove the terminating pod and reconcile."""
    pod = world.pod()
    del world.kube.objects["pods", pod["metadata"]["name"]]
    world.cache.remove(ResourceKind.POD, pod)
    for _ in range(2):
        await world.reconcile()
