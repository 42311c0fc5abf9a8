"""Warm pools: claims, refills, replacements, rollouts, and pools that cannot get warm."""

import pytest

from tests.support.cluster import operator_pods
from tests.support.cluster.kubectl import Json, KubectlError, Session
from tests.support.cluster.manifests import agent, fake_agent, pool
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

pytestmark = pytest.mark.cluster

WARM_SECONDS = 90
"""Seconds until a pod of the fake agent is warm on a busy machine; 2 s on an idle one."""
POOL = "voicesession.dev/pool=front"
UNCLAIMED = f"{POOL},!voicesession.dev/session-uid"


def apply_pool(scenario: Scenario, agent_name: str = "fake", **spec: Json) -> None:
    scenario.kube.apply(pool("front", scenario.namespace, agent_name, **spec))


def status(scenario: Scenario) -> Json:
    found = scenario.kube.get("voicepool", "front", scenario.namespace)
    return dict(found.get("status", {})) if found else {}


def condition(scenario: Scenario, kind: str) -> Json:
    conditions = status(scenario).get("conditions", ())
    return next((found for found in conditions if found["type"] == kind), {})


def wait_until_warm(scenario: Scenario, count: int) -> None:
    until(lambda: status(scenario).get("warm") == count, f"{count} warm pods", WARM_SECONDS)
    assert condition(scenario, "Ready")["status"] == "True"


def names(pods: list[Json]) -> set[str]:
    return {found["metadata"]["name"] for found in pods}


def claimed(scenario: Scenario) -> set[str]:
    return names(scenario.agent_pods()) - names(scenario.kube.all("pods", scenario.namespace, UNCLAIMED))


def test_session_claims_warm_pod_and_pool_refills(scenario: Scenario) -> None:
    apply_pool(scenario, warm={"min": 1})
    wait_until_warm(scenario, 1)
    (warm,) = scenario.kube.all("pods", scenario.namespace, UNCLAIMED)

    session = scenario.start_session("call")

    assert session.pod == warm["metadata"]["name"]
    wait_until_warm(scenario, 1)
    until(lambda: status(scenario)["hits"] == 1, "one hit", WARM_SECONDS)
    assert (status(scenario)["misses"], status(scenario)["claimed"]) == (0, 1)
    scenario.kube.delete("voicesession", "call", scenario.namespace)
    until(lambda: warm["metadata"]["name"] not in names(scenario.agent_pods()), "the claimed pod is gone", WARM_SECONDS)
    until(lambda: len(scenario.kube.all("pods", scenario.namespace, UNCLAIMED)) == 1, "one warm pod", WARM_SECONDS)
    scenario.kube.delete("voicepool", "front", scenario.namespace)
    scenario.wait_until_empty()


def test_lost_pod_is_replaced_by_warm_pod_in_the_same_room(scenario: Scenario) -> None:
    apply_pool(scenario, warm={"min": 2})
    wait_until_warm(scenario, 2)
    session = scenario.start_session("call", reconnect_grace=60)
    scenario.join_human("call")
    wait_until_warm(scenario, 2)
    warm = names(scenario.kube.all("pods", scenario.namespace, UNCLAIMED))

    scenario.kube.delete("pod", session.pod, scenario.namespace, "--wait=false")

    after = until(lambda: replaced(scenario, session.pod), "the session has another pod", WARM_SECONDS)
    assert (after.pod in warm, after.room, after.status["replacements"]) == (True, session.room, 1)


def replaced(scenario: Scenario, lost: str) -> Session | None:
    found = scenario.session("call")
    return found if found.is_true("Ready") and found.pod not in ("", lost) else None


def test_changed_agent_replaces_warm_pods(scenario: Scenario) -> None:
    apply_pool(scenario, warm={"min": 2})
    wait_until_warm(scenario, 2)
    before = names(scenario.kube.all("pods", scenario.namespace, UNCLAIMED))

    scenario.apply_fake_agent(FAKE_AGENT_CHANGED="1")

    until(lambda: not before & names(scenario.agent_pods()), "no pod of the old template", WARM_SECONDS)
    wait_until_warm(scenario, 2)
    until(lambda: condition(scenario, "Progressing")["reason"] == "Complete", "the end of the rollout", WARM_SECONDS)


def test_scaled_pool_stays_within_bounds(scenario: Scenario) -> None:
    apply_pool(scenario, warm={"min": 1, "max": 2})
    wait_until_warm(scenario, 1)
    scenario.kube.run("scale", "voicepool/front", "--replicas=9", "-n", scenario.namespace)
    wait_until_warm(scenario, 2)
    assert status(scenario)["desired"] == 2
    limited = condition(scenario, "ScalingLimited")
    assert (limited["status"], limited["reason"]) == ("True", "TooManyReplicas")


BAD = {
    "no such agent": (None, "AgentNotFound", "not found"),
    "image": ({"pod": {"image": "voicesession/missing:1"}}, "PodNotWarm", "Image"),
    "pod": ({"pod": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}}, "PodNotWarm", "limit"),
    "entry point": ({"entrypoint": "nowhere:nothing"}, "PodNotWarm", "nowhere"),
}


@pytest.mark.parametrize("name", BAD)
def test_pool_without_warm_pods_reports_cause(scenario: Scenario, name: str) -> None:
    spec, reason, message = BAD[name]
    if spec is not None:
        scenario.kube.apply(agent("wrong", scenario.namespace, spec))
    apply_pool(scenario, "wrong", warm={"min": 3})

    until(lambda: condition(scenario, "Progressing").get("reason") == reason, reason, WARM_SECONDS)

    assert message in condition(scenario, "Progressing")["message"]
    assert condition(scenario, "Ready")["status"] == "False"
    scenario.start_session("call")


def test_pool_beyond_a_quota_reports_cause(scenario: Scenario) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods", "namespace": scenario.namespace},
        "spec": {"hard": {"count/pods": "1"}},
    }
    scenario.kube.apply(quota)
    apply_pool(scenario, warm={"min": 3})
    # Before the first count of the quota, the API server refuses pods for another reason.
    until(lambda: "exceeded quota" in condition(scenario, "Progressing").get("message", ""), "the quota", WARM_SECONDS)
    assert condition(scenario, "Progressing")["reason"] == "PodNotWarm"
    assert len(scenario.kube.all("pods", scenario.namespace, UNCLAIMED)) == 1


def test_pool_gives_room_to_session_without_node(scenario: Scenario) -> None:
    for name in ("fake", "other"):
        document = fake_agent(name, scenario.namespace)
        document["spec"]["pod"]["resources"] = {"requests": {"memory": most_of_a_node(scenario)}}
        scenario.kube.apply(document)
    apply_pool(scenario, warm={"min": 1})
    wait_until_warm(scenario, 1)

    scenario.start_session("call", "other")

    until(lambda: condition(scenario, "ScalingLimited")["reason"] == "Unschedulable", "no room", WARM_SECONDS)
    assert status(scenario)["warm"] == 0
    events = scenario.kube.events(scenario.namespace, "front")
    assert any(event["reason"] == "GivesRoom" for event in events)
    scenario.kube.delete("voicesession", "call", scenario.namespace)
    wait_until_warm(scenario, 1)


def most_of_a_node(scenario: Scenario) -> str:
    """Return 60 % of the memory of the largest node, so that two such pods do not fit."""
    found = [node["status"]["allocatable"]["memory"] for node in scenario.kube.all("nodes")]
    assert all(memory.endswith("Ki") for memory in found), found
    return f"{max(int(memory[:-2]) for memory in found) * 6 // 10}Ki"


def test_bounds_in_the_wrong_order_are_refused(scenario: Scenario) -> None:
    with pytest.raises(KubectlError, match="max must be at least min"):
        apply_pool(scenario, warm={"min": 3, "max": 2})


@pytest.mark.disruptive
@pytest.mark.timeout(600)
def test_killed_leader_doubles_and_leaks_no_claim(scenario: Scenario) -> None:
    apply_pool(scenario, warm={"min": 4})
    wait_until_warm(scenario, 4)
    calls = [f"call-{number}" for number in range(6)]
    for name in calls:
        scenario.apply_session(name)
    operator_pods.kill_leader(scenario.kube)
    for name in calls:
        scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, 3 * WARM_SECONDS)

    serving = [scenario.session(name).pod for name in calls]
    assert len(set(serving)) == len(calls)
    wait_until_warm(scenario, 4)
    until(lambda: claimed(scenario) == set(serving), "no pods but those of the calls", WARM_SECONDS)
    for name in calls:
        scenario.kube.delete("voicesession", name, scenario.namespace, "--wait=false")
    scenario.kube.delete("voicepool", "front", scenario.namespace)
    scenario.wait_until_empty()


def test_agent_of_a_pool_can_be_applied_later(scenario: Scenario) -> None:
    apply_pool(scenario, "later", warm={"min": 1})
    until(lambda: condition(scenario, "Ready").get("reason") == "AgentNotFound", "no agent", WARM_SECONDS)
    scenario.kube.apply(fake_agent("later", scenario.namespace))
    wait_until_warm(scenario, 1)
