"""Resets by the reconciler: status write, desired state, events, metrics, recycles, memory of the user."""

import pytest
from voicesession_common.api.constants import RESET_REQUESTED_AT_ANNOTATION
from voicesession_common.errors import ConflictError
from voicesession_operator.domain.agent_plan import Resolved
from voicesession_operator.domain.observed import LeaveHint, LeaveReason

from tests.support.builders import ROOM, agent_participant, bound, human
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld
from tests.support.fakes.session_lifecycle import join_agent
from tests.support.metric_changes import counted


async def visited(**on_last_human_left: object) -> ReconcilerWorld:
    """Return a world whose only human has just left, reported by a webhook and not observed yet."""
    world = ReconcilerWorld()
    world.change_spec(onLastHumanLeft={"action": "Reset", "graceSeconds": 0, **on_last_human_left})
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.rooms.rooms[ROOM] += [agent_participant(), human()]
    world.pods.states[world.pod()["metadata"]["uid"]] = bound()
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.leave_hints.record(HELLO, LeaveHint("PA_alice", LeaveReason.LEFT, world.now, world.now))
    world.kube.writes.clear()
    world.recorder.events.clear()
    return world


async def test_reset_without_grace_is_stored_and_sent_in_the_same_reconcile() -> None:
    world = await visited()
    assert await world.reconcile() == 0.05
    assert world.kube.writes == ["patch voicesessions"]
    (desired,) = world.pods.received
    assert (desired["epoch"], desired["cause"]) == (2, "LastHumanLeft")
    assert (world.session()["status"]["resets"], world.session()["status"]["phase"]) == (1, "Starting")


async def test_conflict_sends_no_reset_until_the_write_succeeds() -> None:
    world = await visited()
    world.kube.errors["patch voicesessions"] = ConflictError("Conflict", "changed")
    assert await world.reconcile() == 0.05
    assert world.pods.received == []
    await world.reconcile()
    assert (world.session()["status"]["resets"], len(world.pods.received)) == (1, 1)


async def test_reset_is_sent_after_a_crash_between_write_and_send() -> None:
    world = await visited()
    world.pods.next_put_error = RuntimeError()
    with pytest.raises(RuntimeError):
        await world.reconcile()
    assert (world.session()["status"]["resets"], world.pods.received) == (1, [])
    for _ in range(3):
        await world.reconcile()
    assert (world.session()["status"]["resets"], [desired["epoch"] for desired in world.pods.received]) == (1, [2])


async def test_completed_reset_emits_an_event_and_is_counted_once() -> None:
    world = await visited()
    labels = {"cause": "LastHumanLeft", "outcome": "Complete"}
    with counted() as rise:
        await world.reconcile()
        join_agent(world, epoch=2)
        world.now += 0.24
        for _ in range(3):
            await world.reconcile()
    assert [event.message for event in world.recorder.events] == [
        "Humans in the room: 0; the last one left (Left)",
        "Reset 1 (LastHumanLeft) complete after 0.24 s",
    ]
    assert rise.of("voicesession_resets_total", **labels) == 1
    assert rise.of("voicesession_reset_seconds_count") == 1
    assert world.condition("Ready")["status"] == "True"


async def test_escalated_reset_counts_as_escalated() -> None:
    world = await visited()
    labels = {"cause": "LastHumanLeft", "outcome": "Escalated"}
    with counted() as rise:
        await world.reconcile()
        old = world.pod()["metadata"]["name"]
        world.pods.states.clear()
        world.now += 10
        await world.reconcile()
    assert rise.of("voicesession_resets_total", **labels) == 1
    pods = {name: body for (kind, name), body in world.kube.objects.items() if kind == "pods"}
    assert "deletionTimestamp" in pods.pop(old)["metadata"]
    assert len(pods) == 1


async def reset_requested() -> ReconcilerWorld:
    """Return a world with a human in the room and a requested reset."""
    world = await visited(action="Teardown", reconnectGraceSeconds=0)
    world.rooms.rooms[ROOM].append(human())
    world.annotate(RESET_REQUESTED_AT_ANNOTATION, "2026-11-24T10:45:05Z")
    return world


async def test_requested_reset_is_stored_sent_and_counted_once() -> None:
    world = await reset_requested()
    with counted() as rise:
        await world.reconcile()
        assert world.kube.writes == ["patch voicesessions"]
        assert [(desired["epoch"], desired["cause"]) for desired in world.pods.received] == [(2, "Requested")]
        join_agent(world, epoch=2)
        world.rooms.rooms[ROOM].append(human())
        for _ in range(3):
            await world.reconcile()
    status = world.session()["status"]
    assert (status["resets"], status["humans"], status["lastReset"]["outcome"]) == (1, 1, "Complete")
    assert status["lastReset"]["request"] == "2026-11-24T10:45:05Z"
    assert len(world.pods.received) == 1
    assert rise.of("voicesession_resets_total", cause="Requested", outcome="Complete") == 1


async def test_requested_reset_is_sent_after_a_crash_between_write_and_send() -> None:
    world = await reset_requested()
    world.pods.next_put_error = RuntimeError()
    with pytest.raises(RuntimeError):
        await world.reconcile()
    assert (world.session()["status"]["resets"], world.pods.received) == (1, [])
    for _ in range(3):
        await world.reconcile()
    assert (world.session()["status"]["resets"], [desired["epoch"] for desired in world.pods.received]) == (1, [2])


async def test_reset_request_with_invalid_time_only_emits_an_event() -> None:
    world = await reset_requested()
    world.annotate(RESET_REQUESTED_AT_ANNOTATION, "soon")
    for _ in range(3):
        await world.reconcile()
    assert [event.reason for event in world.recorder.events] == ["ResetRequestInvalid"]
    assert (world.pods.received, world.session()["status"]["resets"]) == ([], 0)


async def test_recycle_creates_the_next_pod() -> None:
    world = await visited(action="Recycle")
    await world.reconcile()
    assert world.kube.writes == ["patch voicesessions", "create pods"]
    status = world.session()["status"]
    assert (status["recycles"], status["agent"]["nextPod"]) == (1, status["agent"]["pod"][:-1] + "1")


async def test_user_memory_is_sent_once_resolved() -> None:
    world = ReconcilerWorld()
    world.change_agent({"memory": {"letta": {"scope": "User"}}}, letta={"agentID": "agent-shared"})
    world.change_spec(user="alice")
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = bound(state="Unbound", session_uid="", participant_sid="")
    await world.reconcile()
    world.memories.answers["alice"] = Resolved("agent-alice")
    await world.reconcile()
    assert [(desired["memory"] or {}).get("agentID") for desired in world.pods.received] == [None, "agent-alice"]
    assert world.session()["status"]["agent"]["memoryAgentID"] == "agent-alice"
    assert set(world.memories.lookups) == {"alice"}


async def test_deadline_counts_from_the_plan_rather_than_the_write() -> None:
    world = await visited(graceSeconds=3)

    def pass_time() -> None:
        world.now += 0.5

    world.kube.before_write = pass_time
    assert await world.reconcile() == pytest.approx(2.502)
