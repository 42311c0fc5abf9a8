"""Metrics of sessions: gauges, start stages, resets, teardown, replacement reasons, lost webhooks."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition
from voicesession_common.api.reasons import Cause, ResetOutcome
from voicesession_common.api.voicesession import LastReset, Status
from voicesession_operator.controller.cache import Cache, ResourceKind
from voicesession_operator.controller.session_metrics import (
    SessionGauges,
    SessionTimings,
    replacement_reason,
    start_stages,
)
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.observed import Timings
from voicesession_operator.metric_labels import StartStage

from tests.support import operator_objects
from tests.support.async_polling import until
from tests.support.builders import ROOM, T0, human
from tests.support.fakes.session_lifecycle import join_agent, ready, remove_pod, visited
from tests.support.metric_changes import Rise, counted, value

STAGES = "voicesession_start_stage_seconds"
LAST_HUMAN = "voicesession_last_human_seconds"
READY_AT, FINISHED_AT = "2025-11-22T23:20:11Z", "2025-11-22T23:20:12Z"
CREATED = 1000.0
TIMINGS = Timings(process_started=1002.5, prepared=1004.5, bound=1003.0, joined=1005.0)
PREVIOUS = Status(agent_pod="hello-0", replacements=0, last_reset=LastReset(Cause.LAST_HUMAN_LEFT, T0))
ESCALATED = LastReset(Cause.LAST_HUMAN_LEFT, T0, outcome=ResetOutcome.ESCALATED)
ABSENT = Condition("AgentJoined", "False", "AgentAbsent")


def session(number: int, **status: Any) -> JsonObject:
    return {**operator_objects.session(f"s{number}", f"uid-{number}", number + 1), "status": status}


def conditions(kind: str, status: str = "False") -> list[dict[str, str]]:
    return [{"type": "RoomReady", "status": "True"}, {"type": kind, "status": status}]


def observed_stages(rise: Rise) -> dict[str, float]:
    return {stage.value: rise.of(f"{STAGES}_sum", stage=stage.value) for stage in StartStage}


def stages(
    timings: Timings = TIMINGS, started: float = 1000.25, pod_created: float | None = 1000.5
) -> dict[str, float]:
    found = start_stages(CREATED, started, pod_created, timings, ready_at=1005.125)
    return {stage.value: seconds for stage, seconds in found.items()}


async def test_gauges_count_the_cache() -> None:
    cache = Cache()
    for raw in (
        session(0, phase="Starting", conditions=conditions("AgentJoined")),
        session(1, phase="Active", humans=2, readyAt=READY_AT, conditions=conditions("MemoryReady")),
        session(2, phase="Ready", humans=1, readyAt=READY_AT, conditions=conditions("MemoryReady", "Unknown")),
        session(3, phase="Finished", readyAt=READY_AT, finishedAt=FINISHED_AT, conditions=conditions("AgentJoined")),
        session(4),
    ):
        cache.upsert(ResourceKind.SESSION, raw)
    ready_agent = {**operator_objects.agent(), "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    cache.upsert(ResourceKind.AGENT, ready_agent)
    SessionGauges(cache, ()).update_gauges()
    phases = ("Starting", "Active", "Grace", "Finished")
    assert [value("voicesession_sessions", phase=phase) for phase in phases] == [1, 1, 0, 1]
    assert value("voicesession_humans") == 3
    assert value("voicesession_sessions_degraded", condition="MemoryReady") == 2
    assert value("voicesession_sessions_degraded", condition="AgentJoined") == 0
    assert (value("voicesession_voiceagents", ready="true"), value("voicesession_voiceagents", ready="false")) == (1, 0)


async def test_gauges_of_an_empty_cache_return_to_zero() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.SESSION, session(1, readyAt=READY_AT, conditions=conditions("MemoryReady")))
    SessionGauges(cache, ()).update_gauges()
    assert value("voicesession_sessions_degraded", condition="MemoryReady") == 1
    SessionGauges(Cache(), ()).update_gauges()
    assert value("voicesession_sessions_degraded", condition="MemoryReady") == 0


async def test_oldest_key_gauge_prefers_running_to_waiting_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, loop = asyncio.Event(), asyncio.get_running_loop()
    running = asyncio.Event()

    async def handle(key: str) -> float | None:
        running.set()
        await gate.wait()
        return None

    queue: WorkQueue[str] = WorkQueue("gauges", handle, workers=1)
    gauges = SessionGauges(Cache(), (queue,))
    gauges.update_gauges()
    assert value("voicesession_queue_oldest_seconds", queue="gauges") == 0.0
    worker = asyncio.create_task(queue.run())
    queue.add("running")
    await until(running.is_set)
    later = loop.time() + 50.0
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: later)
        queue.add("waiting")
        gauges.update_gauges()
    assert 50.0 <= value("voicesession_queue_oldest_seconds", queue="gauges") < 60.0
    gate.set()
    assert await queue.drain(1)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert value("voicesession_queue_wait_seconds_count", queue="gauges") == 1.0


def test_start_stages_count_from_the_previous_stage() -> None:
    assert stages() == {
        "found": 0.0,
        "pod_created": 0.25,
        "process_started": 2.0,
        "models_loaded": 2.0,
        "bound": 0.0,
        "joined": 0.5,
        "seen": 0.125,
    }
    assert list(stages()) == [stage.value for stage in StartStage]


def test_start_stages_with_a_clock_ahead_end_with_ready() -> None:
    ahead = stages(Timings(process_started=1e11, prepared=1e11, bound=1e11, joined=1e11))
    assert sum(ahead.values()) == 1005.125 - 1000.25


def test_start_stages_after_found_sum_to_time_since_first_reconcile() -> None:
    late = stages(started=1001.5, pod_created=1001.75)
    assert late["found"] == 0.5
    assert sum(late.values()) - late["found"] == 1005.125 - 1001.5


def test_start_stage_bound_is_positive_when_models_loaded_first() -> None:
    assert stages(replace(TIMINGS, bound=1004.75))["bound"] == 0.25


def test_start_stages_with_slow_agent_clock_are_never_negative() -> None:
    behind = stages(replace(TIMINGS, process_started=999.0))
    assert behind["process_started"] == 0.0
    assert behind["models_loaded"] == 4.0


def test_start_stages_end_at_the_first_unknown_time() -> None:
    assert list(stages(Timings())) == ["found", "pod_created"]
    assert list(stages(pod_created=None)) == ["found"]


async def test_start_is_observed_once_by_stage() -> None:
    with counted() as rise:
        world = await ready()
        await world.reconcile()
    assert observed_stages(rise) == {
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


async def test_teardown_is_observed_when_the_pod_is_gone() -> None:
    with counted() as rise:
        world = await visited(graceSeconds=3)
        world.now = T0 + 104
        for _ in range(3):
            await world.reconcile()
        world.now = T0 + 106
        await world.reconcile()
        assert rise.of("voicesession_teardown_seconds_count") == 0, "the pod is still terminating"
        await remove_pod(world)
    assert (rise.of("voicesession_teardown_seconds_count"), rise.of("voicesession_teardown_seconds_sum")) == (1, 2)
    assert (rise.of(f"{LAST_HUMAN}_count", until="torn_down"), rise.of(f"{LAST_HUMAN}_sum", until="torn_down")) == (
        1,
        5,
    )


async def test_requested_end_observes_no_last_human_time() -> None:
    with counted() as rise:
        world = await ready()
        world.change_spec(end=True)
        for _ in range(3):
            await world.reconcile()
        await remove_pod(world)
    assert rise.of("voicesession_teardown_seconds_count") == 1
    assert rise.of(f"{LAST_HUMAN}_count", until="torn_down") == 0


@pytest.mark.parametrize(("grace", "expected"), [(3, 3.5), (0, 0.5)])
async def test_reset_observes_time_since_the_last_human_left(grace: int, expected: float) -> None:
    with counted() as rise:
        world = await visited(action="Reset", graceSeconds=grace)
        if grace:
            world.now = T0 + 104
            await world.reconcile()
        world.now += 0.5
        join_agent(world, epoch=2)
        await world.reconcile()
        await world.reconcile()
    assert (rise.of(f"{LAST_HUMAN}_count", until="reset"), rise.of(f"{LAST_HUMAN}_sum", until="reset")) == (1, expected)
    assert rise.of("voicesession_reset_seconds_sum") == 0.5


async def test_participants_without_webhooks_count_as_lost() -> None:
    with counted() as rise:
        world = await ready()
        world.rooms.rooms[ROOM].append(human())
        await world.reconcile()
        world.now += 31
        world.lost_webhooks.count()
    # Agent and human both joined without a webhook.
    assert rise.of("voicesession_webhooks_lost_total", event="participant_joined") == 2


def test_timings_at_capacity_drop_the_oldest_session() -> None:
    timings = SessionTimings(capacity=2)
    for number in range(3):
        timings.on_pod_created(str(number), T0)
    assert [str(number) in timings for number in range(3)] == [False, True, True]


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
def test_replacement_reason_follows_the_status_change(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    assert replacement_reason(replace(PREVIOUS, **old), replace(PREVIOUS, replacements=1, **new)).value == reason
