"""Writes to the API server, events included, in the life of a session."""

from voicesession_common.api.timestamps import from_rfc3339
from voicesession_operator.domain.observed import LeaveHint, LeaveReason

from tests.support.builders import ROOM, T0, human
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld
from tests.support.fakes.session_lifecycle import ready, remove_pod

TALK_SECONDS = 300.0
TTL_SECONDS = 600.0
"""Built-in ttlSecondsAfterFinished."""


def writes(world: ReconcilerWorld) -> list[str]:
    """Return all writes; each event is one."""
    return sorted([*world.kube.writes, *("create events" for _ in world.recorder.events)])


async def talking(**on_last_human_left: object) -> ReconcilerWorld:
    """Return a world in which a human has talked with the agent since T0 + 7."""
    world = await ready(**on_last_human_left)
    world.rooms.rooms[ROOM].append(human())
    world.now += 1
    await world.reconcile()
    await world.pass_time(TALK_SECONDS)
    return world


async def leave(world: ReconcilerWorld, reason: LeaveReason) -> float:
    """Remove the human, as reported and seen 20 ms later, and return the time of the leave."""
    at = world.now
    world.rooms.rooms[ROOM].pop()
    world.now += 0.02
    world.leave_hints.record(HELLO, LeaveHint("PA_alice", reason, at, at))
    await world.reconcile()
    return at


async def test_life_with_single_human_needs_eight_writes() -> None:
    world = await talking()
    left_at = await leave(world, LeaveReason.LEFT)
    await world.pass_time(4)
    await world.reconcile()
    assert world.session()["status"]["endReason"] == "LastHumanLeft"
    assert from_rfc3339(world.session()["status"]["lastHumanLeftAt"]) == round(left_at, 3)
    await remove_pod(world)
    while ("voicesessions", "hello") in world.kube.objects:
        await world.pass_time(10)
    assert world.now - left_at >= TTL_SECONDS
    assert writes(world) == [
        "create events",
        "create pods",
        "delete pods",
        "delete voicesessions",
        *["patch voicesessions"] * 4,
    ]


async def test_return_within_short_grace_needs_no_write() -> None:
    world = await talking()
    before = writes(world)
    await leave(world, LeaveReason.LEFT)
    world.now += 2
    await world.reconcile()
    world.rooms.rooms[ROOM].append(human(sid="PA_again"))
    world.now += 0.5
    await world.reconcile()
    await world.pass_time(60)
    assert writes(world) == before
    assert world.session()["status"]["phase"] == "Active"


async def test_lost_connection_is_stored_with_long_grace() -> None:
    world = await talking()
    left_at = await leave(world, LeaveReason.CONNECTION_LOST)
    status = world.session()["status"]
    assert (status["phase"], status["humans"], status["lastHumanLeftReason"]) == ("Grace", 0, "ConnectionLost")
    assert from_rfc3339(status["lastHumanLeftAt"]) == round(left_at, 3)


async def test_leave_before_reset_is_stored_at_once() -> None:
    world = await talking(action="Reset")
    await leave(world, LeaveReason.LEFT)
    assert world.session()["status"]["phase"] == "Grace"


async def test_ready_session_has_times_of_start() -> None:
    world = await ready()
    start = {name: from_rfc3339(at) for name, at in world.session()["status"]["start"].items()}
    assert start == {"podCreatedAt": T0 + 1, "boundAt": T0 + 3, "joinedAt": T0 + 5.5}
