"""Crashes during a call: the room stays, and an agent joins it again."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.support.cluster import nodes, operator_pods
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.observability.recovery_timer import Record, RecoveryTimer
from tests.support.polling import until

pytestmark = pytest.mark.cluster

BACK_SECONDS = 60
"""Start of a pod with speech models on a busy machine."""
REPLACED = ("AgentReplaced", "PodLost")
DEATHS = 4
"""Deaths in a row: from the third on the pod delays the next job; after five it gives up."""


class Crash(NamedTuple):
    """A function that causes a crash, and whether the pod survives it."""

    cause: Callable[[Kube, str, str], None]
    same_pod: bool


CRASHES = {
    "agent job": Crash(nodes.kill_agent_job, same_pod=True),
    "main process": Crash(nodes.kill_agent_process, same_pod=False),
    "pod deleted": Crash(lambda kube, pod, ns: kube.delete("pod", pod, ns, "--wait=false"), same_pod=False),
}


@pytest.mark.parametrize("name", CRASHES)
def test_crashed_agent_is_replaced_in_same_room(
    scenario: Scenario, agent_66: Json, name: str, record_property: Record
) -> None:
    crash = CRASHES[name]
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory"))
    before = scenario.start_session("call", "agent-66")
    scenario.join_human("call")
    old = scenario.agent_sid(before)

    crash.cause(scenario.kube, before.pod, scenario.namespace)

    if crash.same_pod:
        recovery = RecoveryTimer(scenario, "call", name, record=record_property)
        recovery.wait_until_logged(before.pod, "job_ended", BACK_SECONDS)
    else:
        recovery = RecoveryTimer(scenario, "call", *REPLACED, record=record_property)
        recovery.wait_until_detected(BACK_SECONDS)
    recovery.wait_until_recovered(old, BACK_SECONDS)
    after = scenario.session("call")
    assert after.room == before.room
    assert after.status["humans"] == 1
    assert (after.pod == before.pod) is crash.same_pod
    assert after.status["replacements"] == (0 if crash.same_pod else 1)


def test_repeatedly_dying_job_is_reported(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory"))
    session = scenario.start_session("call", "agent-66")
    for _ in range(DEATHS):
        old = scenario.agent_sid(session)
        nodes.kill_agent_job(scenario.kube, session.pod, scenario.namespace)
        until(lambda: _new_sid(scenario.agent_sid(session), old), "a new job in the same room", BACK_SECONDS)  # noqa: B023

    assert scenario.wait_for_event("call", "JobDied", "its pod starts another one")["type"] == "Warning"
    scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, BACK_SECONDS)
    after = scenario.session("call")
    assert (after.pod, after.status["replacements"], after.status["resets"]) == (session.pod, 0, 0)


def test_lost_pod_without_replacements_ends_session(scenario: Scenario) -> None:
    session = scenario.start_session("call", max_replacements=0)

    scenario.kube.delete("pod", session.pod, scenario.namespace, "--wait=false")

    assert scenario.wait_until_finished("call", 30).end_reason == "AgentLost"
    scenario.wait_until_empty()


@pytest.mark.disruptive
def test_leader_death_during_starts_keeps_live_call(scenario: Scenario) -> None:
    live = scenario.start_session("live")
    scenario.join_human("live")
    sid = scenario.agent_sid(live)
    operator_pods.leader(scenario.kube)
    for name in ("one", "two", "three"):
        scenario.apply_session(name)
    operator_pods.kill_leader(scenario.kube)

    for name in ("one", "two", "three"):
        scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, 120)
    rooms = {scenario.session(name).room for name in ("live", "one", "two", "three")}
    assert set(scenario.livekit.rooms(scenario.namespace)) == rooms
    assert len(rooms) == len(scenario.agent_pods()) == 4
    assert scenario.agent_sid(live) == sid != ""
    assert scenario.session("live").is_true("Ready")


@pytest.mark.disruptive
def test_killed_leader_is_followed_and_stands_by(scenario: Scenario) -> None:
    killed = operator_pods.leader(scenario.kube)
    name = killed["metadata"]["name"]

    operator_pods.kill(killed)

    until(lambda: operator_pods.holder(scenario.kube) not in ("", name), "another holder", BACK_SECONDS)
    until(lambda: operator_pods.all_ready(scenario.kube), "one leader, and all replicas ready", BACK_SECONDS)
    assert operator_pods.leader(scenario.kube)["metadata"]["name"] == operator_pods.holder(scenario.kube)
    assert scenario.start_session("after").is_true("Ready")


@pytest.mark.disruptive
def test_leader_death_during_teardown_leaves_no_objects(scenario: Scenario) -> None:
    names = ("one", "two", "three", "four")
    for name in names:
        scenario.apply_session(name)
    for name in names:
        scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, 120)
    for name in names[:2]:
        scenario.kube.patch("voicesession", name, scenario.namespace, {"spec": {"end": True}})
    for name in names[2:]:
        scenario.kube.delete("voicesession", name, scenario.namespace, "--wait=false")
    operator_pods.kill_leader(scenario.kube)

    scenario.wait_until_empty(120)
    assert {scenario.wait_until_finished(name, 60).end_reason for name in names[:2]} == {"Requested"}
    assert all(scenario.find_session(name) is None for name in names[2:])
    until(lambda: operator_pods.all_ready(scenario.kube), "both operators", 120)


def _new_sid(sid: str, old: str) -> str | None:
    return sid if sid and sid != old else None
