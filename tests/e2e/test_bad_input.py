"""Messages for invalid input and missing dependencies, and recovery once the cause is gone."""

import pytest

from tests.support.cluster import faults, manifests, nodes, operator_pods
from tests.support.cluster.kubectl import Json, KubectlError, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.participants.human import talk
from tests.support.polling import until

pytestmark = pytest.mark.cluster

ESCALATED_SECONDS = 40
"""10 s for a reset, and the time for a poll, a new pod and the delay of a busy machine."""
LONGEST_NAME = "n" * 253
TOO_LONG_NAME = "n" * 300


def rejection(scenario: Scenario, document: Json) -> str:
    """Apply an invalid object and return the error message."""
    with pytest.raises(KubectlError) as refused:
        scenario.kube.apply(document)
    return str(refused.value)


def wait_until_ready(scenario: Scenario, name: str, seconds: float = 120) -> None:
    """Wait until the session is Ready."""
    scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, seconds)


def test_unknown_agent_is_reported_until_created(scenario: Scenario) -> None:
    scenario.apply_session("call", "nobody")

    condition = scenario.wait_for_false_condition(
        "call", "AgentJoined", f'VoiceAgent "nobody" not found in namespace "{scenario.namespace}"'
    )
    scenario.assert_single_event("call", condition["reason"])

    scenario.apply_fake_agent("nobody")
    wait_until_ready(scenario, "call")


def test_missing_secret_is_reported_until_created(scenario: Scenario) -> None:
    document = manifests.fake_agent("keyless", scenario.namespace)
    document["spec"]["llm"] = {"provider": "openai", "apiKeySecretRef": {"name": "absent", "key": "apiKey"}}
    scenario.kube.apply(document)
    scenario.apply_session("call", "keyless")

    condition = scenario.wait_for_false_condition("call", "AgentJoined", 'secret "absent" not found')
    scenario.assert_single_event("call", condition["reason"])

    scenario.kube.run("create", "secret", "generic", "absent", "--from-literal=apiKey=x", "-n", scenario.namespace)
    wait_until_ready(scenario, "call")


def test_longest_session_name_is_accepted(scenario: Scenario) -> None:
    scenario.apply_fake_agent("a" * 63)
    session = scenario.start_session(LONGEST_NAME, "a" * 63)

    assert len(session.pod) <= 63
    assert session.identity == ("agent-" + "a" * 63)[:63]
    scenario.kube.delete("voicesession", LONGEST_NAME, scenario.namespace, "--timeout=20s")
    scenario.wait_until_empty()


def test_agent_name_longer_than_label_is_accepted(scenario: Scenario) -> None:
    scenario.apply_fake_agent(LONGEST_NAME)
    scenario.start_session("call", LONGEST_NAME)


def test_too_long_name_is_rejected(scenario: Scenario) -> None:
    text = rejection(scenario, manifests.session(TOO_LONG_NAME, scenario.namespace))
    assert "must be no more than 253" in text or "may not be more than 253" in text


def test_label_length_limit_is_enforced(scenario: Scenario) -> None:
    document = manifests.session("call", scenario.namespace)
    document["metadata"]["labels"] = {"example.com/" + "k" * 63: "v" * 63}
    scenario.kube.apply(document)
    wait_until_ready(scenario, "call")

    document["metadata"]["labels"] = {"example.com/key": "v" * 64}
    assert "must be no more than 63" in rejection(scenario, document)


@pytest.mark.parametrize("field", ["grace", "reconnect_grace", "start", "join", "idle", "max_duration"])
def test_seconds_out_of_range_are_rejected(scenario: Scenario, field: str) -> None:
    path = ".".join(("spec", *manifests.SECONDS_FIELDS[field]))
    for seconds, message in ((-1, "should be greater than or equal to"), (10**12, "should be less than or equal to")):
        text = rejection(scenario, manifests.session("call", scenario.namespace, "fake", 600, **{field: seconds}))
        assert path in text
        assert message in text or "int32" in text


def test_same_name_in_two_namespaces_gets_separate_sessions(scenario: Scenario) -> None:
    other = f"{scenario.namespace}-b"
    scenario.kube.run("create", "namespace", other)
    try:
        second = Scenario(scenario.kube, scenario.livekit, other)
        second.apply_fake_agent()
        rooms = {each.start_session("call").room for each in (scenario, second)}
        assert len(rooms) == 2

        scenario.kube.delete("voicesession", "call", scenario.namespace, "--timeout=20s")
        scenario.wait_until_empty()
        assert second.session("call").is_true("Ready")
        assert second.agent_sid(second.session("call"))
    finally:
        scenario.kube.run("delete", "namespace", other, "--wait=false")


@pytest.mark.disruptive
def test_livekit_outage_is_reported_once(scenario: Scenario) -> None:
    with faults.without(scenario.kube, "livekit"):
        scenario.apply_session("call")
        condition = scenario.wait_for_false_condition("call", "RoomReady", "LiveKit")
        until(lambda: "attempts" if scenario.kube.events(scenario.namespace, "call") else None, "an event", 30)
        scenario.assert_single_event("call", condition["reason"])

    wait_until_ready(scenario, "call")
    scenario.assert_single_event("call", condition["reason"])


@pytest.mark.slow
@pytest.mark.disruptive
def test_wrong_livekit_key_is_reported_until_corrected(scenario: Scenario) -> None:
    with faults.operator_environment(scenario.kube, LIVEKIT_API_SECRET="0" * 32):
        scenario.apply_session("call")
        condition = scenario.wait_for_false_condition("call", "RoomReady", "key")
        scenario.assert_single_event("call", condition["reason"])

    wait_until_ready(scenario, "call")


def test_unresponsive_pod_is_replaced_after_failed_reset(scenario: Scenario) -> None:
    scenario.kube.patch("voiceagent", "fake", scenario.namespace, {"spec": {"onLastHumanLeft": manifests.RESET}})
    scenario.start_session("call", grace=0, reconnect_grace=0, max_replacements=1)
    first = _leave_with_stopped_supervisor(scenario)

    scenario.wait_for_event("call", "ResetEscalated", seconds=ESCALATED_SECONDS)
    until(lambda: scenario.session("call").status["replacements"] == 1, "the pod replaced", ESCALATED_SECONDS)
    wait_until_ready(scenario, "call")
    second = scenario.session("call")
    assert second.pod != first.pod
    assert (second.room, second.status["resets"]) == (first.room, 1)

    _leave_with_stopped_supervisor(scenario)

    assert scenario.wait_until_finished("call", ESCALATED_SECONDS).end_reason == "AgentLost"
    scenario.wait_until_empty()


def _leave_with_stopped_supervisor(scenario: Scenario) -> Session:
    human = scenario.join_human("call")
    session = scenario.session("call")
    nodes.stop_agent_process(scenario.kube, session.pod, scenario.namespace)
    human.leave()
    return session


@pytest.mark.slow
@pytest.mark.speech
@pytest.mark.disruptive
def test_letta_outage_does_not_stop_speech(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace))
    scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)
    with faults.without(scenario.kube, "letta"):
        scenario.start_session("call", "agent-66", grace=600)
        conversation = talk(scenario.livekit, "call", scenario.namespace, "--say", "Test one")
        assert conversation["turns"][0]["reply"]
        condition = scenario.wait_for_false_condition("call", "MemoryReady", "letta")
        scenario.assert_single_event("call", condition["reason"])
        assert scenario.session("call").is_true("Ready")

    until(lambda: scenario.session("call").is_true("MemoryReady") or None, "MemoryReady again", 180)


@pytest.mark.slow
@pytest.mark.disruptive
def test_postgres_restart_keeps_memory(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "before", scenario.namespace))
    scenario.kube.wait("voiceagent/before", "condition=Ready", scenario.namespace, 120)
    known = _memory_agent(scenario, "before")

    faults.restart(scenario.kube, "postgres")

    scenario.kube.apply(copy_of(agent_66, "after", scenario.namespace))
    scenario.kube.wait("voiceagent/after", "condition=Ready", scenario.namespace, 180)
    assert _memory_agent(scenario, "before") == known
    assert operator_pods.all_ready(scenario.kube)


def _memory_agent(scenario: Scenario, name: str) -> str:
    found = scenario.kube.get("voiceagent", name, scenario.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])
