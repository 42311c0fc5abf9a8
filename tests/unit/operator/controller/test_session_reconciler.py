"""The reconciler of sessions: start, status writes, events, outages, end, cleanup."""

import pytest
from voicesession_common.errors import ConflictError, RetryableError, TerminalError
from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.domain.naming import pod_name, room_metadata, with_cluster
from voicesession_operator.domain.observed import AgentPodState, LeaveHint, LeaveReason, RoomUnknown

from tests.support import operator_objects
from tests.support.builders import AGENT, IDENTITY, ROOM, UID, agent_participant, bound, human, session
from tests.support.fakes.reconciler_world import HELLO, ReconcilerWorld


async def ready_world() -> ReconcilerWorld:
    """Return a world with the agent in the room."""
    world = ReconcilerWorld()
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    uid = world.pod()["metadata"]["uid"]
    world.rooms.rooms[ROOM].append(agent_participant())
    world.pods.states[uid] = bound()
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    return world


async def test_new_session_gets_room_pod_and_a_single_status_write() -> None:
    world = ReconcilerWorld()
    requeue_after = await world.reconcile()
    assert ROOM in world.rooms.rooms
    assert world.pod()["metadata"]["ownerReferences"][0]["uid"] == UID
    assert world.kube.writes.count("patch voicesessions") == 1
    assert world.kube.writes.count("create pods") == 1
    assert world.session()["status"]["room"]["sid"] == f"RM_{ROOM}"
    assert requeue_after is not None


async def test_second_reconcile_without_changes_writes_no_object() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    world.kube.writes.clear()
    await world.reconcile()
    assert world.kube.writes == []


async def test_answering_pod_receives_the_desired_state() -> None:
    world = ReconcilerWorld()
    world.directory.cluster = "cluster-1"
    spec = {"memory": {"letta": {"scope": "Agent", "remember": "Enabled"}}, "limits": {"idleSeconds": 60}}
    world.change_agent(spec, letta={"agentID": "agent-letta"})
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = bound(state="Unbound", session_uid="", participant_sid="")
    await world.reconcile()
    (desired,) = world.pods.received
    assert desired == {
        "sessionUID": UID,
        "epoch": 1,
        "room": {
            "name": ROOM,
            "url": "ws://livekit:7880",
            "sid": f"RM_{ROOM}",
            "metadata": with_cluster(room_metadata(session().build(), "installation-1"), "cluster-1"),
        },
        "token": f"token for {IDENTITY} in {ROOM}",
        "adminToken": f"admin token for {ROOM}",
        "identity": IDENTITY,
        "agentMetadata": "",
        "cause": "Start",
        "memory": {
            "baseURL": "http://letta:8283",
            "agentID": "agent-letta",
            "apiKey": "pw",
            "readOnly": False,
            "recall": False,
            "remember": True,
            "rememberBlock": "human",
        },
        "capture": True,
        "idleSeconds": 60,
        "prewarm": False,
        "traceparent": "",
    }


async def test_ready_emits_no_event_beside_the_condition() -> None:
    world = await ready_world()
    await world.reconcile()
    assert world.recorder.events == []


async def test_events_follow_a_successful_status_write() -> None:
    world = await ready_world()
    world.change_spec(end=True)
    world.kube.errors["patch voicesessions"] = ConflictError("Conflict", "changed")
    assert await world.reconcile() == 0.05
    assert world.recorder.events == []
    await world.reconcile()
    assert [event.reason for event in world.recorder.events] == ["Finished"]


async def test_conflict_refreshes_the_cache_and_requeues() -> None:
    world = ReconcilerWorld()
    changed = {**world.session(), "spec": {"agentRef": {"name": AGENT}, "end": True}}
    world.kube.put("voicesessions", changed)
    assert await world.reconcile() == 0.05
    found = world.cache.get(ResourceKind.SESSION, HELLO)
    assert found is not None
    assert found["spec"]["end"] is True


async def test_existing_pod_of_the_session_is_adopted() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    fresh = ReconcilerWorld()
    fresh.kube.objects["pods", world.pod()["metadata"]["name"]] = world.pod()
    await fresh.reconcile()
    assert len(fresh.cache.pods_of("default", UID)) == 1


async def test_pod_with_another_owner_is_a_name_conflict() -> None:
    world = ReconcilerWorld()
    world.kube.put("pods", operator_objects.pod(owner="another-owner"))
    await world.reconcile()
    assert world.condition("AgentJoined")["reason"] == "NameConflict"
    assert [event.reason for event in world.recorder.events] == ["NameConflict"]


async def test_quota_conflict_is_not_taken_for_an_existing_pod() -> None:
    world = ReconcilerWorld()
    world.kube.errors["create pods"] = ConflictError("Conflict", "the object has been modified")
    requeue_after = await world.reconcile()
    assert world.condition("AgentJoined")["reason"] == "Conflict"
    assert requeue_after is not None
    assert requeue_after <= 2.0
    await world.reconcile()
    assert world.pod()
    assert world.condition("AgentJoined")["reason"] == "Starting"


async def test_refused_pod_emits_a_single_event_with_the_api_servers_message() -> None:
    world = ReconcilerWorld()
    for _ in range(3):
        world.kube.errors["create pods"] = TerminalError("Forbidden", "pods is forbidden: violates PodSecurity")
        requeue_after = await world.reconcile()
    assert world.condition("AgentJoined")["message"] == "pods is forbidden: violates PodSecurity"
    assert [event.reason for event in world.recorder.events] == ["Forbidden"]
    assert requeue_after is not None
    assert requeue_after > 5


async def test_outage_of_livekit_emits_a_single_event_and_recovers() -> None:
    world = await ready_world()
    world.recorder.events.clear()
    world.rooms.down = RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")
    await world.reconcile()
    await world.reconcile()
    assert [event.reason for event in world.recorder.events] == ["LiveKitUnavailable"]
    world.rooms.down = None
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"


async def test_last_human_leaving_tears_down_room_and_pod() -> None:
    world = await ready_world()
    world.rooms.rooms[ROOM].append(human())
    await world.reconcile()
    world.rooms.rooms[ROOM].pop()
    world.now += 60
    world.leave_hints.record(HELLO, LeaveHint("PA_alice", LeaveReason.LEFT, world.now, world.now))
    requeue_after = await world.reconcile()
    assert requeue_after is not None
    assert 2.9 < requeue_after <= 3
    world.now += 3
    assert await world.reconcile() == 0.0
    assert world.session()["status"]["endReason"] == "LastHumanLeft"
    assert ROOM in world.rooms.rooms
    await world.reconcile()
    assert ROOM not in world.rooms.rooms
    assert "deletionTimestamp" in world.pod()["metadata"]


async def test_finished_session_is_deleted_after_the_ttl() -> None:
    world = await ready_world()
    ended = {**world.session(), "spec": {"agentRef": {"name": AGENT}, "end": True}}
    world.cache.upsert(ResourceKind.SESSION, world.kube.put("voicesessions", ended))
    await world.reconcile()
    world.now += 700
    assert await world.reconcile() is None
    assert ("voicesessions", "hello") not in world.kube.objects


async def test_room_of_deleted_session_is_deleted_at_once() -> None:
    world = await ready_world()
    world.cache.remove(ResourceKind.SESSION, world.session())
    assert await world.reconcile() is None
    assert world.rooms.deleted == [ROOM]
    assert world.cache.deleted_sessions(HELLO) == []


async def test_failed_room_deletion_is_retried() -> None:
    world = await ready_world()
    world.cache.remove(ResourceKind.SESSION, world.session())
    world.rooms.error = RetryableError("LiveKitUnavailable", "LiveKit does not answer")
    with pytest.raises(RetryableError):
        await world.reconcile()
    world.rooms.error = None
    await world.reconcile()
    assert world.rooms.deleted == [ROOM]


async def test_pod_with_a_missed_deletion_is_replaced() -> None:
    world = await ready_world()
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
    assert [event.reason for event in world.recorder.events] == ["AgentReplaced"]


async def test_agent_missing_from_the_cache_is_read_from_the_api_server() -> None:
    world = ReconcilerWorld(agent_cached=False)
    await world.reconcile()
    assert world.pod()


async def test_missing_agent_is_reported() -> None:
    world = ReconcilerWorld(agent_cached=False)
    del world.kube.objects["voiceagents", AGENT]
    await world.reconcile()
    assert world.condition("AgentJoined")["reason"] == "AgentNotFound"


async def test_polls_have_a_jitter() -> None:
    world = await ready_world()
    waits = {await world.reconcile() for _ in range(20)}
    assert len(waits) > 10
    assert all(wait is not None and 8 <= wait <= 12 for wait in waits)


async def test_forged_pod_of_another_namespace_has_no_effect() -> None:
    world = await ready_world()
    forged = {**operator_objects.pod(1, version=10**6, phase="Running", podIP="10.6.6.6")}
    forged["metadata"] |= {"namespace": "team-b", "uid": "uid-of-team-b"}
    world.cache.upsert(ResourceKind.POD, forged)
    world.pods.states["uid-of-team-b"] = AgentPodState("Unbound")
    world.kube.writes.clear()
    await world.reconcile()
    assert (world.pods.received, world.kube.writes) == ([], [])
    assert world.session()["status"]["agent"]["pod"] == pod_name("hello", UID, 0)


async def test_long_problem_of_an_agent_is_stored_with_the_end() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    await world.pass_time(59)
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = AgentPodState("Preparing", problem="x" * 40_000)
    world.now += 1
    for _ in range(3):
        await world.reconcile()
    assert world.session()["status"]["endReason"] == "Invalid"
    assert max(len(condition["message"]) for condition in world.session()["status"]["conditions"]) == 1024
