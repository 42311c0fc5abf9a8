"""Sessions that outlast their VoiceAgent, their operator or an earlier release of it."""

import pytest
from voicesession_common import JsonObject
from voicesession_operator.controller.cache import ResourceKind

from tests.support.builders import ROOM, T0, bound, human
from tests.support.fakes.reconciler_world import ReconcilerWorld
from tests.support.fakes.session_lifecycle import join_agent


async def ready_world(agent_spec: JsonObject) -> ReconcilerWorld:
    """Return a world with the agent in the room."""
    world = ReconcilerWorld()
    world.change_agent(agent_spec)
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    join_agent(world)
    await world.reconcile()
    return world


LONG: JsonObject = {
    "limits": {"maxDurationSeconds": 86400},
    "onLastHumanLeft": {"action": "Reset", "graceSeconds": 60, "reconnectGraceSeconds": 60},
}
SHORT: JsonObject = {"limits": {"maxDurationSeconds": 300}, "onLastHumanLeft": {"action": "Teardown"}}


@pytest.mark.parametrize("change", ["deleted", "edited", "replaced"])
async def test_changed_voice_agent_does_not_change_a_running_session(change: str) -> None:
    world = await ready_world(LONG)
    world.rooms.rooms[ROOM].append(human())
    await world.reconcile()
    if change != "edited":
        world.delete_agent()
        await world.reconcile()
    if change != "deleted":
        world.change_agent(SHORT)
    world.now += 7200
    await world.reconcile()
    status = world.session()["status"]
    assert (status["phase"], status["humans"], status["endReason"]) == ("Active", 1, None)
    assert status["inherited"]["limits"]["maxDurationSeconds"] == 86400
    world.rooms.rooms[ROOM].pop()
    await world.reconcile()
    world.now += 59
    await world.reconcile()
    assert (world.session()["status"]["resets"], world.session()["status"]["endReason"]) == (0, None)
    world.now += 1
    await world.reconcile()
    assert (world.session()["status"]["resets"], world.session()["status"]["endReason"]) == (1, None)


async def test_own_limit_changed_during_the_session_takes_effect() -> None:
    world = await ready_world(LONG)
    world.change_spec(limits={"maxDurationSeconds": 60})
    world.now += 59
    await world.reconcile()
    assert world.session()["status"]["endReason"] is None
    world.change_spec(limits={})
    world.now += 60
    await world.reconcile()
    assert world.session()["status"]["endReason"] is None
    world.change_spec(limits={"maxDurationSeconds": 60})
    await world.reconcile()
    assert world.session()["status"]["endReason"] == "MaxDuration"


async def test_session_of_an_earlier_operator_takes_the_settings_of_the_voice_agent() -> None:
    world = await ready_world(LONG)
    del world.session()["status"]["inherited"]
    world.cache.upsert(ResourceKind.SESSION, world.kube.put("voicesessions", world.session()))
    await world.pass_time(310)
    status = world.session()["status"]
    assert (status["endReason"], status["inherited"]["limits"]["maxDurationSeconds"]) == ("NobodyCame", 86400)


async def test_session_begins_with_the_settings_of_a_later_voice_agent() -> None:
    world = ReconcilerWorld()
    world.delete_agent()
    await world.reconcile()
    assert world.session()["status"]["inherited"] is None
    world.change_agent(LONG)
    await world.reconcile()
    assert world.session()["status"]["inherited"]["onLastHumanLeft"] == {
        "action": "Reset",
        "graceSeconds": 60,
        "reconnectGraceSeconds": 60,
    }


async def test_session_applied_while_no_operator_ran_is_started() -> None:
    world = ReconcilerWorld()
    world.now = T0 + 70
    await world.reconcile()
    assert world.kube.writes.count("create pods") == 1
    await world.pass_time(59)
    assert world.session()["status"]["endReason"] is None
    await world.pass_time(1)
    assert world.session()["status"]["endReason"] == "StartDeadline"


async def test_next_leader_tries_before_the_end_of_a_start() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    world.now += 600
    world.replace_reconciler()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = bound(state="Unbound", session_uid="", participant_sid="")
    await world.reconcile()
    assert (len(world.pods.received), world.session()["status"]["endReason"]) == (1, None)
    await world.pass_time(61)
    assert world.session()["status"]["endReason"] == "StartDeadline"
