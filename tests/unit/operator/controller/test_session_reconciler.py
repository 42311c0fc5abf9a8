"""The reconciler: observe, plan, act; one status write; events only after it."""

import pytest
from voicesession_common.errors import ConflictError, RetryableError, TerminalError
from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import LeaveHint, LeaveReason, RoomUnknown

from tests.support import operator_objects
from tests.support.builders import AGENT, IDENTITY, ROOM, UID, agent_participant, bound, human
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld


async def ready() -> ReconcilerWorld:
    """A world whose agent is in the room."""
    world = ReconcilerWorld()
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    uid = world.pod()["metadata"]["uid"]
    world.rooms.rooms[ROOM].append(agent_participant())
    world.pods.states[uid] = bound()
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    return world


async def test_a_new_session_gets_room_and_pod_and_one_status_write() -> None:
    world = ReconcilerWorld()
    again = await world.reconcile()
    assert ROOM in world.rooms.rooms
    assert world.pod()["metadata"]["ownerReferences"][0]["uid"] == UID
    assert world.kube.writes.count("patch voicesessions") == 1
    assert world.kube.writes.count("create pods") == 1
    assert world.session()["status"]["room"]["sid"] == f"RM_{ROOM}"
    assert again is not None


async def test_doing_it_again_writes_nothing() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    world.kube.writes.clear()
    await world.reconcile()
    assert world.kube.writes == []


async def test_a_pod_that_answers_is_told_its_session() -> None:
    world = ReconcilerWorld()
    world.change_agent({"memory": {"letta": {}}, "limits": {"idleSeconds": 60}}, letta={"agentID": "agent-letta"})
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = bound(state="Unbound", session_uid="", participant_sid="")
    await world.reconcile()
    (told,) = world.pods.received
    assert told == {
        "sessionUID": UID,
        "epoch": 1,
        "room": {"name": ROOM, "url": "ws://livekit:7880"},
        "token": f"token for {IDENTITY} in {ROOM}",
        "identity": IDENTITY,
        "cause": "Start",
        "memory": {"baseURL": "http://letta:8283", "agentID": "agent-letta", "apiKey": "pw", "readOnly": False},
        "capture": True,
        "idleSeconds": 60,
        "end": False,
        "traceparent": "",
    }


async def test_ready_is_told_once_and_after_it_was_stored() -> None:
    world = await ready()
    assert [event.reason for event in world.recorder.events] == ["Ready"]
    await world.reconcile()
    assert len(world.recorder.events) == 1


async def test_no_event_without_a_status_write() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.rooms.rooms[ROOM].append(agent_participant())
    world.pods.states[world.pod()["metadata"]["uid"]] = bound()
    world.kube.errors["patch voicesessions"] = ConflictError("Conflict", "changed")
    assert await world.reconcile() == 0.05
    assert world.recorder.events == []
    await world.reconcile()
    assert [event.reason for event in world.recorder.events] == ["Ready"]


async def test_a_lost_race_is_run_again_on_the_new_object() -> None:
    world = ReconcilerWorld()
    changed = {**world.session(), "spec": {"agentRef": {"name": AGENT}, "end": True}}
    world.kube.put("voicesessions", changed)
    assert await world.reconcile() == 0.05
    found = world.cache.get(ResourceKind.SESSION, HELLO)
    assert found is not None
    assert found["spec"]["end"] is True


async def test_a_pod_that_exists_already_is_adopted() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    fresh = ReconcilerWorld()
    fresh.kube.objects["pods", world.pod()["metadata"]["name"]] = world.pod()
    await fresh.reconcile()
    assert len(fresh.cache.pods_of(UID)) == 1


async def test_somebody_elses_pod_of_that_name_is_a_conflict() -> None:
    world = ReconcilerWorld()
    world.kube.put("pods", operator_objects.pod(owner="somebody-else"))
    await world.reconcile()
    assert world.condition("AgentJoined")["reason"] == "NameConflict"
    assert [event.reason for event in world.recorder.events] == ["NameConflict"]


async def test_a_refused_pod_is_said_once_with_kubernetes_own_words() -> None:
    world = ReconcilerWorld()
    for _ in range(3):
        world.kube.errors["create pods"] = TerminalError("Forbidden", "pods is forbidden: violates PodSecurity")
        again = await world.reconcile()
    assert world.condition("AgentJoined")["message"] == "pods is forbidden: violates PodSecurity"
    assert [event.reason for event in world.recorder.events] == ["Forbidden"]
    assert again is not None
    assert again > 5


async def test_an_outage_is_said_once_and_healed() -> None:
    world = await ready()
    world.recorder.events.clear()
    world.rooms.down = RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")
    await world.reconcile()
    await world.reconcile()
    assert [event.reason for event in world.recorder.events] == ["LiveKitUnavailable"]
    world.rooms.down = None
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"


async def test_the_last_human_leaves_and_everything_goes() -> None:
    world = await ready()
    world.rooms.rooms[ROOM].append(human())
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.now += 60
    world.leave_hints.record(HELLO, LeaveHint("alice", LeaveReason.LEFT, world.now))
    again = await world.reconcile()
    assert again is not None
    assert 2.9 < again <= 3
    world.now += 3
    assert await world.reconcile() == 0.0
    assert world.session()["status"]["endReason"] == "LastHumanLeft"
    assert ROOM in world.rooms.rooms
    await world.reconcile()
    assert ROOM not in world.rooms.rooms
    assert "deletionTimestamp" in world.pod()["metadata"]


async def test_after_its_time_to_live_the_session_is_deleted() -> None:
    world = await ready()
    ended = {**world.session(), "spec": {"agentRef": {"name": AGENT}, "end": True}}
    world.cache.upsert(ResourceKind.SESSION, world.kube.put("voicesessions", ended))
    await world.reconcile()
    world.now += 700
    assert await world.reconcile() is None
    assert ("voicesessions", "hello") not in world.kube.objects


async def test_a_deleted_sessions_room_goes_at_once() -> None:
    world = await ready()
    world.cache.remove(ResourceKind.SESSION, world.session())
    assert await world.reconcile() is None
    assert world.rooms.deleted == [ROOM]
    assert world.cache.deleted_sessions(HELLO) == []


async def test_a_room_that_cannot_be_deleted_is_not_forgotten() -> None:
    world = await ready()
    world.cache.remove(ResourceKind.SESSION, world.session())
    world.rooms.error = RetryableError("LiveKitUnavailable", "LiveKit does not answer")
    with pytest.raises(RetryableError):
        await world.reconcile()
    world.rooms.error = None
    await world.reconcile()
    assert world.rooms.deleted == [ROOM]


async def test_a_pod_whose_deletion_the_watch_has_missed_is_replaced_all_the_same() -> None:
    world = await ready()
    lost = world.pod()
    del world.kube.objects["pods", lost["metadata"]["name"]]
    world.pods.states.clear()
    world.rooms.rooms[ROOM].clear()
    world.now += 60
    await world.reconcile()
    assert world.condition("AgentJoined")["status"] == "False"
    assert world.kube.writes.count("create pods") == 1
    world.now += 31
    await world.reconcile()
    assert world.pod()["metadata"]["name"] == pod_name("hello", UID, 1)
    assert [event.reason for event in world.recorder.events] == ["Ready", "AgentReplaced"]


async def test_an_agent_that_the_watch_has_not_told_of_is_asked_for() -> None:
    world = ReconcilerWorld()
    world.cache._objects[ResourceKind.AGENT].clear()
    await world.reconcile()
    assert world.pod()


async def test_a_missing_agent_is_said() -> None:
    world = ReconcilerWorld()
    world.cache._objects[ResourceKind.AGENT].clear()
    del world.kube.objects["voiceagents", AGENT]
    await world.reconcile()
    assert world.condition("AgentJoined")["reason"] == "AgentNotFound"


async def test_polls_are_spread_and_deadlines_are_not() -> None:
    world = await ready()
    waits = {await world.reconcile() for _ in range(20)}
    assert len(waits) > 10
    assert all(wait is not None and 8 <= wait <= 12 for wait in waits)
