"""Whatever dies in the middle of a call, the room stays and an agent is in it again."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.support.cluster import nodes, operator_pods
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Trial
from tests.support.observability.recovery_timer import Healing, Record
from tests.support.polling import until

pytestmark = pytest.mark.cluster

BACK_SECONDS = 60
"""A new pod with speech models, started while the machine is busy."""
REPLACED = ("AgentReplaced", "PodLost")
DEATHS = 4
"""In a row: from the third on, the pod waits a while before the next job. One more, and it gives itself up."""


class Crash(NamedTuple):
    how: Callable[[Kube, str, str], None]
    same_pod: bool


CRASHES = {
    "agent job": Crash(nodes.kill_agent_job, same_pod=True),
    "main process": Crash(nodes.kill_agent_process, same_pod=False),
    "pod deleted": Crash(lambda kube, pod, ns: kube.delete("pod", pod, ns, "--wait=false"), same_pod=False),
}


@pytest.mark.parametrize("what", CRASHES)
def test_a_new_agent_comes_into_the_same_room(trial: Trial, agent_66: Json, what: str, record_property: Record) -> None:
    crash = CRASHES[what]
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "memory"))
    before = trial.ready("call", "agent-66")
    trial.visit("call")
    old = trial.agent_sid(before)

    crash.how(trial.kube, before.pod, trial.namespace)

    if crash.same_pod:
        healing = Healing(trial, "call", what, record=record_property)
        healing.logged(before.pod, "job_ended", BACK_SECONDS)
    else:
        healing = Healing(trial, "call", *REPLACED, record=record_property)
        healing.detected(BACK_SECONDS)
    healing.healed(old, BACK_SECONDS)
    after = trial.session("call")
    assert after.room == before.room
    assert after.status["humans"] == 1
    assert (after.pod == before.pod) is crash.same_pod
    assert after.status["replacements"] == (0 if crash.same_pod else 1)


def test_a_job_that_dies_again_and_again_is_told_of(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "memory"))
    session = trial.ready("call", "agent-66")
    for _ in range(DEATHS):
        old = trial.agent_sid(session)
        nodes.kill_agent_job(trial.kube, session.pod, trial.namespace)
        until(lambda: _other(trial.agent_sid(session), old), "a new job in the same room", BACK_SECONDS)  # noqa: B023

    assert trial.event("call", "JobDied", "its pod starts another one")["type"] == "Warning"
    trial.kube.wait("voicesession/call", "condition=Ready", trial.namespace, BACK_SECONDS)
    after = trial.session("call")
    assert (after.pod, after.status["replacements"], after.status["resets"]) == (session.pod, 0, 0)


def test_when_replacements_are_used_up_it_is_over(trial: Trial) -> None:
    session = trial.ready("call", max_replacements=0)

    trial.kube.delete("pod", session.pod, trial.namespace, "--wait=false")

    assert trial.finished("call", 30).end_reason == "AgentLost"
    trial.gone()


@pytest.mark.disruptive
def test_leader_killed_while_sessions_are_made_and_a_call_goes_on(trial: Trial) -> None:
    live = trial.ready("live")
    trial.visit("live")
    sid = trial.agent_sid(live)
    operator_pods.leader(trial.kube)
    for name in ("one", "two", "three"):
        trial.start(name)
    operator_pods.kill_leader(trial.kube)

    for name in ("one", "two", "three"):
        trial.kube.wait(f"voicesession/{name}", "condition=Ready", trial.namespace, 120)
    rooms = {trial.session(name).room for name in ("live", "one", "two", "three")}
    assert set(trial.livekit.rooms(trial.namespace)) == rooms
    assert len(rooms) == len(trial.pods()) == 4
    assert trial.agent_sid(live) == sid != ""
    assert trial.session("live").is_true("Ready")


@pytest.mark.disruptive
def test_leader_killed_while_sessions_are_torn_down(trial: Trial) -> None:
    names = ("one", "two", "three", "four")
    for name in names:
        trial.start(name)
    for name in names:
        trial.kube.wait(f"voicesession/{name}", "condition=Ready", trial.namespace, 120)
    for name in names[:2]:
        trial.kube.patch("voicesession", name, trial.namespace, {"spec": {"end": True}})
    for name in names[2:]:
        trial.kube.delete("voicesession", name, trial.namespace, "--wait=false")
    operator_pods.kill_leader(trial.kube)

    trial.gone(120)
    assert {trial.finished(name, 60).end_reason for name in names[:2]} == {"Requested"}
    assert all(trial.find(name) is None for name in names[2:])
    until(lambda: operator_pods.all_ready(trial.kube), "both operators", 120)


def _other(sid: str, old: str) -> str | None:
    return sid if sid and sid != old else None
