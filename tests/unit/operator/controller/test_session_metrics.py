"""What a session's life adds to the metrics: its start by stages, its resets, its end, and why pods were replaced."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_common.api.conditions import Condition
from voicesession_common.api.reasons import Cause, ResetOutcome
from voicesession_common.api.voicesession import LastReset, Status
from voicesession_operator.controller.session_metrics import Chronicle, why_replaced
from voicesession_operator.metric_labels import StartStage

from tests.support.builders import ROOM, T0, human
from tests.support.fakes.session_lifecycle import gone, joined, ready, visited
from tests.support.metric_changes import Rise, counted

STAGES = "voicesession_start_stage_seconds"
LEFT = "voicesession_last_human_seconds"


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
        await gone(world)
    assert (rise.of("voicesession_teardown_seconds_count"), rise.of("voicesession_teardown_seconds_sum")) == (1, 2)
    assert (rise.of(f"{LEFT}_count", until="torn_down"), rise.of(f"{LEFT}_sum", until="torn_down")) == (1, 5)


async def test_an_end_that_nobody_left_for_is_no_leaving() -> None:
    with counted() as rise:
        world = await ready()
        world.change_spec(end=True)
        for _ in range(3):
            await world.reconcile()
        await gone(world)
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
