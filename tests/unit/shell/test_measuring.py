"""What a session's life adds to the metrics: its start by stages, its resets, its end, and why pods were replaced."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_operator.api.conditions import Condition
from voicesession_operator.api.reasons import Cause, ResetOutcome
from voicesession_operator.api.session import LastReset, Status
from voicesession_operator.controller.cache import Kind
from voicesession_operator.controller.chronicle import Chronicle
from voicesession_operator.controller.session_metrics import why_replaced
from voicesession_operator.domain.observed import Leave, LeaveReason, Timings
from voicesession_operator.telemetry.labels import StartStage

from tests.builders import ROOM, T0, agent_participant, bound, human
from tests.unit.shell.counting import Rise, counted
from tests.unit.shell.outside import HELLO, World

STAGES = "voicesession_start_stage_seconds"
LEFT = "voicesession_last_human_seconds"


def joined(world: World, epoch: int = 1, **state: Any) -> None:
    world.rooms.rooms[ROOM] = [agent_participant(f"PA_{epoch}")]
    uid = world.pod()["metadata"]["uid"]
    world.control.states[uid] = bound(epoch=epoch, job_epoch=epoch, participant_sid=f"PA_{epoch}", **state)


async def ready(**left: Any) -> World:
    """Created at T0, seen by the operator at T0 + 1, Ready at T0 + 6."""
    world = World()
    world.change_spec(onLastHumanLeft=left)
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    joined(world, timings=Timings(T0 + 2, T0 + 5, T0 + 3, T0 + 5.5))
    world.now = T0 + 6
    await world.reconcile()
    return world


async def visited(**left: Any) -> World:
    """Ready at T0 + 6; a human came, and left at T0 + 100, seen at T0 + 101."""
    world = await ready(**left)
    world.rooms.rooms[ROOM].append(human())
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.now = T0 + 101
    world.hints.record(HELLO, Leave("alice", LeaveReason.LEFT, T0 + 100))
    await world.reconcile()
    return world


def stages(rise: Rise) -> dict[str, float]:
    return {stage.value: rise.of(f"{STAGES}_sum", stage=stage.value) for stage in StartStage}


async def test_a_start_is_measured_by_stages_once() -> None:
    with counted() as rise:
        world = await ready()
        await world.reconcile()
    assert stages(rise) == {
        "found": 0.0,
        "pod_created": 0.0,
        "process_started": 1.0,
        "models_loaded": 3.0,
        "bound": 0.0,
        "joined": 0.5,
        "seen": 0.5,
    }
    assert {rise.of(f"{STAGES}_count", stage=stage.value) for stage in StartStage} == {1.0}
    assert rise.of("voicesession_ready_seconds_sum") == 6.0


async def test_from_the_last_human_to_nothing_left() -> None:
    with counted() as rise:
        world = await visited(graceSeconds=3)
        world.now = T0 + 104
        for _ in range(3):
            await world.reconcile()
        world.now = T0 + 106
        await world.reconcile()
        assert rise.of("voicesession_teardown_seconds_count") == 0, "its pod is still on its way out"
        pod = world.pod()
        del world.kube.objects["pods", pod["metadata"]["name"]]
        world.cache.remove(Kind.POD, pod)
        for _ in range(2):
            await world.reconcile()
    assert (rise.of("voicesession_teardown_seconds_count"), rise.of("voicesession_teardown_seconds_sum")) == (1, 2)
    assert (rise.of(f"{LEFT}_count", until="torn_down"), rise.of(f"{LEFT}_sum", until="torn_down")) == (1, 5)


async def test_an_end_that_nobody_left_for_is_no_leaving() -> None:
    with counted() as rise:
        world = await ready()
        world.change_spec(end=True)
        for _ in range(3):
            await world.reconcile()
        pod = world.pod()
        del world.kube.objects["pods", pod["metadata"]["name"]]
        world.cache.remove(Kind.POD, pod)
        await world.reconcile()
    assert rise.of("voicesession_teardown_seconds_count") == 1
    assert rise.of(f"{LEFT}_count", until="torn_down") == 0


@pytest.mark.parametrize(("grace", "expected"), [(3, 3.5), (0, 0.5)])
async def test_from_the_last_human_to_a_new_agent(grace: int, expected: float) -> None:
    with counted() as rise:
        world = await visited(action="Reset", graceSeconds=grace)
        if grace:
            world.now = T0 + 104
            await world.reconcile()
        world.now += 0.5
        joined(world, epoch=2)
        await world.reconcile()
        await world.reconcile()
    assert (rise.of(f"{LEFT}_count", until="reset"), rise.of(f"{LEFT}_sum", until="reset")) == (1, expected)
    assert rise.of("voicesession_reset_seconds_sum") == 0.5


async def test_a_participant_that_no_webhook_told_of_is_counted() -> None:
    with counted() as rise:
        world = await ready()
        world.rooms.rooms[ROOM].append(human())
        await world.reconcile()
        world.now += 31
        world.losses.count()
    # The agent came untold, too.
    assert rise.of("voicesession_webhooks_lost_total", event="participant_joined") == 2


def test_only_so_many_sessions_are_remembered() -> None:
    chronicle = Chronicle(capacity=2)
    for number in range(3):
        chronicle.pod_made(str(number), T0)
    assert list(chronicle._moments) == ["1", "2"]


STORED = Status(agent_pod="hello-0", replacements=0, last_reset=LastReset(Cause.LAST_HUMAN_LEFT, T0))
ESCALATED = LastReset(Cause.LAST_HUMAN_LEFT, T0, outcome=ResetOutcome.ESCALATED)
ABSENT = Condition("AgentJoined", "False", "AgentAbsent")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ({}, {"agent_pod": "hello-1"}, "PodLost"),
        ({}, {"agent_pod": "", "last_reset": ESCALATED}, "ResetEscalated"),
        ({"last_reset": ESCALATED}, {"agent_pod": "hello-2", "last_reset": ESCALATED}, "PodLost"),
        ({"next_pod": "hello-1"}, {"next_pod": "hello-2"}, "RecycleFailed"),
        ({}, {"agent_pod": "", "conditions": (ABSENT,)}, "AgentAbsent"),
        ({}, {"agent_pod": "", "conditions": (replace(ABSENT, reason="Starting"),)}, "AgentAway"),
    ],
)
def test_why_a_pod_was_replaced(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    assert why_replaced(replace(STORED, **old), replace(STORED, replacements=1, **new)).value == reason
