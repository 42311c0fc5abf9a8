"""Polls of a session without a change: no new plan, as long as nothing that the plan depends on has changed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from voicesession_common.api import constants
from voicesession_common.api.timestamps import from_rfc3339
from voicesession_operator.controller import session_reconciler
from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.domain.actions import Plan
from voicesession_operator.domain.agent_plan import Resolved
from voicesession_operator.domain.observed import LeaveHint, LeaveReason, RoomUnknown
from voicesession_operator.domain.plan import plan

from tests.support.builders import AGENT, CONFIG, ROOM, bound
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld
from tests.support.fakes.simulated_life import SimulatedLife

Change = Callable[[ReconcilerWorld], None]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Return the plans that the reconciler makes from now on."""
    made: list[Plan] = []

    def recorded(*arguments: object) -> Plan:
        made.append(plan(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(session_reconciler, "plan", recorded)
    return made


async def talk() -> SimulatedLife:
    """Return a session whose human has talked for a while."""
    life = SimulatedLife()
    await life.start()
    await life.join()
    await life.run(15)
    return life


async def test_ten_minutes_of_talk_need_a_plan_for_each_list_of_participants(plans: list[Plan]) -> None:
    life = await talk()
    plans.clear()
    listed = life.world.rooms.calls["ListParticipants"]
    reconciles = life.reconciles
    await life.run(600)
    assert len(plans) == life.world.rooms.calls["ListParticipants"] - listed
    assert life.reconciles - reconciles >= 4 * len(plans)


async def test_new_leader_needs_a_single_list_and_a_single_plan(plans: list[Plan]) -> None:
    life = await talk()
    life.world.replace_reconciler()
    plans.clear()
    listed = life.world.rooms.calls["ListParticipants"]
    for _ in range(3):
        await life.world.reconcile()
    assert life.world.rooms.calls["ListParticipants"] - listed == 1
    assert len(plans) == 1


async def test_unchanged_session_keeps_the_poll_interval(plans: list[Plan]) -> None:
    life = await talk()
    plans.clear()
    wait = await life.world.reconcile()
    assert plans == []
    assert wait is not None
    assert 0.8 * CONFIG.poll_seconds <= wait <= 1.2 * CONFIG.poll_seconds


def report(world: ReconcilerWorld) -> None:
    uid = world.pod()["metadata"]["uid"]
    world.pods.states[uid] = replace(world.pods.states[uid], health="Deaf")


def end(world: ReconcilerWorld) -> None:
    world.change_spec(end=True)


def change_labels_of_the_pod(world: ReconcilerWorld) -> None:
    world.change_pod(reason="Other")


def delete_the_agent(world: ReconcilerWorld) -> None:
    world.cache.remove(ResourceKind.AGENT, world.kube.objects["voiceagents", AGENT])


def hint(world: ReconcilerWorld) -> None:
    world.leave_hints.record(HELLO, LeaveHint("PA_9", LeaveReason.LEFT, world.now, world.now))


def webhook(world: ReconcilerWorld) -> None:
    world.leave_hints.count_event(HELLO)


def outage(world: ReconcilerWorld) -> None:
    world.now += 9
    world.rooms.down = RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")


def unseen_leave(world: ReconcilerWorld) -> None:
    world.now += 9
    world.rooms.rooms[ROOM].pop()


def request_of_a_reset(world: ReconcilerWorld) -> None:
    world.annotate(constants.RESET_REQUESTED_AT_ANNOTATION, "2026-01-31T12:00:00Z")


@pytest.mark.parametrize(
    "change",
    [
        report,
        end,
        change_labels_of_the_pod,
        delete_the_agent,
        hint,
        webhook,
        outage,
        unseen_leave,
        request_of_a_reset,
    ],
)
async def test_each_change_leads_to_a_new_plan(plans: list[Plan], change: Change) -> None:
    life = await talk()
    await life.world.reconcile()
    plans.clear()
    change(life.world)
    await life.world.reconcile()
    assert plans


async def test_deadline_is_met_exactly_after_polls_without_a_plan() -> None:
    life = await talk()
    life.world.change_spec(limits={"maxDurationSeconds": 60})
    await life.run(60)
    assert life.status["endReason"] == "MaxDuration"
    ready_at, finished_at = (from_rfc3339(str(life.status[name])) or 0.0 for name in ("readyAt", "finishedAt"))
    assert finished_at - ready_at == pytest.approx(60, abs=0.01)


async def test_late_memory_of_a_user_leads_to_a_new_plan(plans: list[Plan]) -> None:
    life = SimulatedLife()
    life.world.memories.answers["alice"] = Resolved("agent-1")
    life.world.change_agent({"memory": {"letta": {"scope": "User"}}})
    life.world.change_spec(user="alice")
    await life.start()
    uid = life.world.pod()["metadata"]["uid"]
    life.world.pods.states[uid] = bound(memory_agent_id="agent-1")
    await life.run(15)
    plans.clear()
    await life.world.reconcile()
    assert plans == []
    life.world.memories.answers["alice"] = Resolved("agent-2")
    await life.world.reconcile()
    assert plans
