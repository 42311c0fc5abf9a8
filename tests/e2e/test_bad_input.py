"""What users get to read when something is wrong, and that it mends itself."""

import pytest

from tests.support.cluster import faults, manifests, nodes, operator_pods
from tests.support.cluster.kubectl import Json, KubectlError, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Trial
from tests.support.participants.human import talk
from tests.support.polling import until

pytestmark = pytest.mark.cluster

ESCALATED_SECONDS = 40
"""10 s for a reset, and what a poll, a new pod and a busy machine add."""
LONGEST_NAME = "n" * 253
TOO_LONG_NAME = "n" * 300


def refusal(trial: Trial, document: Json) -> str:
    """What `kubectl apply` says."""
    with pytest.raises(KubectlError) as refused:
        trial.kube.apply(document)
    return str(refused.value)


def becomes_ready(trial: Trial, name: str, seconds: float = 120) -> None:
    trial.kube.wait(f"voicesession/{name}", "condition=Ready", trial.namespace, seconds)


def test_unknown_agent(trial: Trial) -> None:
    trial.start("call", "nobody")

    trouble = trial.trouble("call", "AgentJoined", f'VoiceAgent "nobody" not found in namespace "{trial.namespace}"')
    trial.one_event("call", trouble["reason"])

    trial.fake_agent("nobody")
    becomes_ready(trial, "call")


def test_agent_with_a_missing_secret(trial: Trial) -> None:
    document = manifests.fake_agent("keyless", trial.namespace)
    document["spec"]["llm"] = {"provider": "openai", "apiKeySecretRef": {"name": "absent", "key": "apiKey"}}
    trial.kube.apply(document)
    trial.start("call", "keyless")

    trouble = trial.trouble("call", "AgentJoined", 'secret "absent" not found')
    trial.one_event("call", trouble["reason"])

    trial.kube.run("create", "secret", "generic", "absent", "--from-literal=apiKey=x", "-n", trial.namespace)
    becomes_ready(trial, "call")


def test_the_longest_name_works(trial: Trial) -> None:
    trial.fake_agent("a" * 63)
    session = trial.ready(LONGEST_NAME, "a" * 63)

    assert len(session.pod) <= 63
    assert session.identity == ("agent-" + "a" * 63)[:63]
    trial.kube.delete("voicesession", LONGEST_NAME, trial.namespace, "--timeout=20s")
    trial.gone()


def test_an_agent_name_longer_than_a_label_works(trial: Trial) -> None:
    trial.fake_agent(LONGEST_NAME)
    trial.ready("call", LONGEST_NAME)


def test_a_name_that_is_too_long_is_refused(trial: Trial) -> None:
    text = refusal(trial, manifests.session(TOO_LONG_NAME, trial.namespace))
    assert "must be no more than 253" in text or "may not be more than 253" in text


def test_labels_at_their_limit_and_beyond(trial: Trial) -> None:
    document = manifests.session("call", trial.namespace)
    document["metadata"]["labels"] = {"example.com/" + "k" * 63: "v" * 63}
    trial.kube.apply(document)
    becomes_ready(trial, "call")

    document["metadata"]["labels"] = {"example.com/key": "v" * 64}
    assert "must be no more than 63" in refusal(trial, document)


@pytest.mark.parametrize("field", ["grace", "reconnect_grace", "start", "join", "idle", "max_duration"])
def test_negative_and_huge_seconds_are_refused(trial: Trial, field: str) -> None:
    path = ".".join(("spec", *manifests.CAMEL[field]))
    for seconds, complaint in ((-1, "should be greater than or equal to"), (10**12, "should be less than or equal to")):
        text = refusal(trial, manifests.session("call", trial.namespace, "fake", 600, **{field: seconds}))
        assert path in text
        assert complaint in text or "int32" in text


def test_one_name_in_two_namespaces(trial: Trial) -> None:
    other = f"{trial.namespace}-b"
    trial.kube.run("create", "namespace", other)
    try:
        second = Trial(trial.kube, trial.livekit, other)
        second.fake_agent()
        rooms = {place.ready("call").room for place in (trial, second)}
        assert len(rooms) == 2

        trial.kube.delete("voicesession", "call", trial.namespace, "--timeout=20s")
        trial.gone()
        assert second.session("call").is_true("Ready")
        assert second.agent_sid(second.session("call"))
    finally:
        trial.kube.run("delete", "namespace", other, "--wait=false")


@pytest.mark.disruptive
def test_livekit_down(trial: Trial) -> None:
    with faults.without(trial.kube, "livekit"):
        trial.start("call")
        trouble = trial.trouble("call", "RoomReady", "LiveKit")
        until(lambda: "attempts" if trial.kube.events(trial.namespace, "call") else None, "an event", 30)
        trial.one_event("call", trouble["reason"])

    becomes_ready(trial, "call")
    trial.one_event("call", trouble["reason"])


@pytest.mark.disruptive
def test_wrong_livekit_key(trial: Trial) -> None:
    with faults.operator_environment(trial.kube, LIVEKIT_API_SECRET="0" * 32):
        trial.start("call")
        trouble = trial.trouble("call", "RoomReady", "key")
        trial.one_event("call", trouble["reason"])

    becomes_ready(trial, "call")


def test_a_pod_that_no_longer_answers_cannot_be_reset_and_is_replaced(trial: Trial) -> None:
    trial.kube.patch("voiceagent", "fake", trial.namespace, {"spec": {"onLastHumanLeft": manifests.RESET}})
    trial.ready("call", grace=0, reconnect_grace=0, max_replacements=1)
    first = _leave_while_its_supervisor_is_stopped(trial)

    trial.event("call", "ResetEscalated", seconds=ESCALATED_SECONDS)
    until(lambda: trial.session("call").status["replacements"] == 1, "the pod replaced", ESCALATED_SECONDS)
    becomes_ready(trial, "call")
    second = trial.session("call")
    assert second.pod != first.pod
    assert (second.room, second.status["resets"]) == (first.room, 1)

    _leave_while_its_supervisor_is_stopped(trial)

    assert trial.finished("call", ESCALATED_SECONDS).end_reason == "AgentLost"
    trial.gone()


def _leave_while_its_supervisor_is_stopped(trial: Trial) -> Session:
    visitor = trial.visit("call")
    session = trial.session("call")
    nodes.stop_agent_process(trial.kube, session.pod, trial.namespace)
    visitor.leave()
    return session


@pytest.mark.speech
@pytest.mark.disruptive
def test_letta_down_does_not_stop_speech(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace))
    trial.kube.wait("voiceagent/agent-66", "condition=Ready", trial.namespace, 120)
    with faults.without(trial.kube, "letta"):
        trial.ready("call", "agent-66", grace=600)
        told = talk(trial.livekit, "call", trial.namespace, "--say", "Test one")
        assert told["turns"][0]["reply"]
        trouble = trial.trouble("call", "MemoryReady", "letta")
        trial.one_event("call", trouble["reason"])
        assert trial.session("call").is_true("Ready")

    until(lambda: trial.session("call").is_true("MemoryReady") or None, "MemoryReady again", 180)


@pytest.mark.disruptive
def test_postgres_restarted(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "before", trial.namespace))
    trial.kube.wait("voiceagent/before", "condition=Ready", trial.namespace, 120)
    known = _letta_agent(trial, "before")

    faults.restart(trial.kube, "postgres")

    trial.kube.apply(copy_of(agent_66, "after", trial.namespace))
    trial.kube.wait("voiceagent/after", "condition=Ready", trial.namespace, 180)
    assert _letta_agent(trial, "before") == known
    assert operator_pods.all_ready(trial.kube)


def _letta_agent(trial: Trial, name: str) -> str:
    found = trial.kube.get("voiceagent", name, trial.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])
