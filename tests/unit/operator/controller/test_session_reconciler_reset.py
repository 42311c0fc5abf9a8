"""A reset carried out: one write, one order, in one go; and what is counted of it."""

import pytest
from voicesession_common.api.constants import RESET_REQUESTED_AT_ANNOTATION
from voicesession_common.errors import ConflictError
from voicesession_operator.domain.agent_plan import Resolved
from voicesession_operator.domain.observed import LeaveHint, LeaveReason
from voicesession_operator.metrics import REGISTRY

from tests.support.builders import ROOM, agent_participant, bound, human
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld


async def visited(**wanted: object) -> ReconcilerWorld:
    """A session whose human has just left, her webhook come, and nobody has looked yet."""
    world = ReconcilerWorld()
    world.change_spec(onLastHumanLeft={"action": "Reset", "graceSeconds": 0, **wanted})
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.rooms.rooms[ROOM] += [agent_participant(), human()]
    world.pods.states[world.pod()["metadata"]["uid"]] = bound()
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.leave_hints.record(HELLO, LeaveHint("alice", LeaveReason.LEFT, world.now))
    world.kube.writes.clear()
    world.recorder.events.clear()
    return world


def joined(world: ReconcilerWorld, epoch: int = 2) -> None:
    world.rooms.rooms[ROOM] = [agent_participant(f"PA_{epoch}")]
    uid = world.pod()["metadata"]["uid"]
    world.pods.states[uid] = bound(epoch=epoch, job_epoch=epoch, participant_sid=f"PA_{epoch}")


async def die(*_: object) -> None:
    raise RuntimeError


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"voicesession_{name}", labels) or 0.0


async def test_without_a_grace_it_is_stored_and_told_in_one_go() -> None:
    world = await visited()
    assert await world.reconcile() == 0.05
    assert world.kube.writes == ["patch voicesessions"]
    (told,) = world.pods.received
    assert (told["epoch"], told["cause"]) == (2, "LastHumanLeft")
    assert (world.session()["status"]["resets"], world.session()["status"]["phase"]) == (1, "Starting")


async def test_a_write_that_is_lost_tells_nobody() -> None:
    world = await visited()
    world.kube.errors["patch voicesessions"] = ConflictError("Conflict", "changed")
    assert await world.reconcile() == 0.05
    assert world.pods.received == []
    await world.reconcile()
    assert (world.session()["status"]["resets"], len(world.pods.received)) == (1, 1)


async def test_an_operator_that_dies_after_the_write_is_followed_by_one_that_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await visited()
    with monkeypatch.context() as patched:
        patched.setattr(world.pods, "put_state", die)
        with pytest.raises(RuntimeError):
            await world.reconcile()
    assert (world.session()["status"]["resets"], world.pods.received) == (1, [])
    for _ in range(3):
        await world.reconcile()
    assert (world.session()["status"]["resets"], [told["epoch"] for told in world.pods.received]) == (1, [2])


async def test_complete_is_told_and_counted_once() -> None:
    world = await visited()
    labels = {"cause": "LastHumanLeft", "outcome": "Complete"}
    before = counted("resets_total", **labels), counted("reset_seconds_count")
    await world.reconcile()
    joined(world)
    world.now += 0.24
    for _ in range(3):
        await world.reconcile()
    assert [event.message for event in world.recorder.events] == [
        "Humans in the room: 0; the last one left (Left)",
        "Reset 1 (LastHumanLeft) complete after 0.24 s",
    ]
    assert (counted("resets_total", **labels), counted("reset_seconds_count")) == (before[0] + 1, before[1] + 1)
    assert world.condition("Ready")["status"] == "True"


async def test_one_that_is_escalated_is_counted_as_that() -> None:
    world = await visited()
    labels = {"cause": "LastHumanLeft", "outcome": "Escalated"}
    before = counted("resets_total", **labels)
    await world.reconcile()
    old = world.pod()["metadata"]["name"]
    world.pods.states.clear()
    world.now += 10
    await world.reconcile()
    assert counted("resets_total", **labels) == before + 1
    pods = {name: body for (kind, name), body in world.kube.objects.items() if kind == "pods"}
    assert "deletionTimestamp" in pods.pop(old)["metadata"]
    assert len(pods) == 1


async def in_a_call() -> ReconcilerWorld:
    """Alice is there, and somebody asks for a reset."""
    world = await visited(action="Teardown", reconnectGraceSeconds=0)
    world.rooms.rooms[ROOM].append(human())
    world.annotate(RESET_REQUESTED_AT_ANNOTATION, "2026-11-24T10:45:05Z")
    return world


async def test_one_that_is_asked_for_is_stored_told_and_counted_once() -> None:
    world = await in_a_call()
    labels = {"cause": "Requested", "outcome": "Complete"}
    before = counted("resets_total", **labels)
    await world.reconcile()
    assert world.kube.writes == ["patch voicesessions"]
    assert [(told["epoch"], told["cause"]) for told in world.pods.received] == [(2, "Requested")]
    joined(world)
    world.rooms.rooms[ROOM].append(human())
    for _ in range(3):
        await world.reconcile()
    status = world.session()["status"]
    assert (status["resets"], status["humans"], status["lastReset"]["outcome"]) == (1, 1, "Complete")
    assert status["lastReset"]["request"] == "2026-11-24T10:45:05Z"
    assert (len(world.pods.received), counted("resets_total", **labels)) == (1, before + 1)


async def test_one_that_is_asked_for_outlives_the_operator_that_decided_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await in_a_call()
    with monkeypatch.context() as patched:
        patched.setattr(world.pods, "put_state", die)
        with pytest.raises(RuntimeError):
            await world.reconcile()
    assert (world.session()["status"]["resets"], world.pods.received) == (1, [])
    for _ in range(3):
        await world.reconcile()
    assert (world.session()["status"]["resets"], [told["epoch"] for told in world.pods.received]) == (1, [2])


async def test_a_request_that_is_no_time_is_told_of_and_nothing_else() -> None:
    world = await in_a_call()
    world.annotate(RESET_REQUESTED_AT_ANNOTATION, "soon")
    for _ in range(3):
        await world.reconcile()
    assert [event.reason for event in world.recorder.events] == ["ResetRequestInvalid"]
    assert (world.pods.received, world.session()["status"]["resets"]) == ([], 0)


async def test_a_recycle_asks_both_pods() -> None:
    world = await visited(action="Recycle")
    await world.reconcile()
    assert world.kube.writes == ["patch voicesessions", "create pods"]
    status = world.session()["status"]
    assert (status["recycles"], status["agent"]["nextPod"]) == (1, status["agent"]["pod"][:-1] + "1")


async def test_a_users_own_memory_is_told_when_it_is_known() -> None:
    world = ReconcilerWorld()
    world.change_agent({"memory": {"letta": {"scope": "User"}}}, letta={"agentID": "agent-shared"})
    world.change_spec(user="alice")
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = bound(state="Unbound", session_uid="", participant_sid="")
    await world.reconcile()
    world.memories.answers["alice"] = Resolved("agent-alice")
    await world.reconcile()
    assert [(told["memory"] or {}).get("agentID") for told in world.pods.received] == [None, "agent-alice"]
    assert world.session()["status"]["agent"]["memoryAgentID"] == "agent-alice"
    assert set(world.memories.lookups) == {"alice"}


async def test_a_deadline_counts_from_the_decision_not_from_the_write(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await visited(graceSeconds=3)
    write = world.kube.patch_status

    async def slowly(*arguments: object) -> dict[str, object]:
        world.now += 0.5
        return await write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(world.kube, "patch_status", slowly)
    assert await world.reconcile() == pytest.approx(2.502)
