"""Programs of users that know nothing of VoiceSession, in the ways in which LiveKit's documentation writes them."""

import json

import pytest

from tests.support.cluster.manifests import FAULTY_AGENT_IMAGE, Json, agent, session
from tests.support.cluster.scenario import Scenario
from tests.support.observability import pod_log
from tests.support.participants.typing_participant import TypingParticipant
from tests.support.polling import until

pytestmark = pytest.mark.cluster

SECRETIVE = "customer 7"
STARTERS = {
    "worker options": ("starter_worker_options:entrypoint", "starter met alice in vs-"),
    "agent server": ("starter_agent_server:server", f"starter serves alice for {SECRETIVE}"),
    "inference": ("starter_inference:entrypoint", "starter inferred in another process: True"),
}
"""Entry points of hack/images/trial-agent, and what each prints once it works."""
ANSWER_SECONDS = 30
LOG_SECONDS = 30


def own_agent(scenario: Scenario, entrypoint: str, **env: str) -> Json:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    pod = {"image": FAULTY_AGENT_IMAGE, "env": variables}
    return agent("starter", scenario.namespace, {"entrypoint": entrypoint, "pod": pod})


def apply(scenario: Scenario, document: Json, **seconds: int) -> None:
    """Apply the agent, and a session with metadata for it."""
    call = session("call", scenario.namespace, "starter", **seconds)
    call["spec"]["agentMetadata"] = SECRETIVE
    scenario.kube.apply(document, call)


def wait_for_log(scenario: Scenario, text: str) -> str:
    """Return the pod's log once it has the text."""
    pod = scenario.session("call").pod

    def check() -> str | None:
        log = scenario.kube.logs(pod, scenario.namespace)
        return log if text in log else None

    return until(check, f"{text!r} in the log", LOG_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTERS)
def test_starter_works_unchanged(scenario: Scenario, name: str) -> None:
    entrypoint, text = STARTERS[name]
    apply(scenario, own_agent(scenario, entrypoint))
    scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, 120)
    scenario.join_human("call")
    wait_for_log(scenario, text)


@pytest.mark.slow
def test_job_has_metadata_and_room_has_none(scenario: Scenario) -> None:
    apply(scenario, own_agent(scenario, "starter_agent_server:server", HOME="/app"))
    scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, 120)
    log = wait_for_log(scenario, "starter job ")
    line = next(line for line in log.splitlines() if line.startswith("starter job "))
    status = scenario.session("call").status
    assert json.loads(line.removeprefix("starter job ")) == {
        "agent": "starter",
        "metadata": SECRETIVE,
        "room": status["room"]["name"],
        "sid": status["room"]["sid"],
        "home": "/app",
        "readable": True,
    }


@pytest.mark.slow
def test_agents_hand_over_in_writing_and_end_call_by_tool(scenario: Scenario, agent_66: Json) -> None:
    model = agent_66["spec"]["llm"]["baseURL"]
    apply(scenario, own_agent(scenario, "starter_restaurant:server", STARTER_LLM=model))
    scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, 120)
    call = scenario.session("call")
    with pod_log.followed(scenario.kube, call.pod, scenario.namespace) as log:
        alice = TypingParticipant(scenario.livekit, call, "alice")
        try:
            wait_for_log(scenario, "restaurant: open for alice")
            alice.type("Use the reserve table tool.")
            alice.wait_for_text("I am the waiter of table 7.", ANSWER_SECONDS)
            alice.type("Use the end call tool.")
            assert scenario.wait_until_finished("call", ANSWER_SECONDS).end_reason == "AgentEnded"
        finally:
            alice.leave()
    assert "restaurant: bill of table 7" in log.result()
    assert "restaurant: True report" in log.result()


@pytest.mark.slow
def test_outbound_agent_uses_room_service_and_deletes_room(scenario: Scenario) -> None:
    apply(scenario, own_agent(scenario, "starter_outbound:server"), grace=60)
    scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, 120)
    alice = scenario.join_human("call")
    wait_for_log(scenario, f"outbound: callee is ['{SECRETIVE}']")
    alice.leave()
    assert scenario.wait_until_finished("call", ANSWER_SECONDS).end_reason == "AgentEnded"


@pytest.mark.slow
def test_agent_with_two_failed_preparations_becomes_ready(scenario: Scenario) -> None:
    apply(scenario, own_agent(scenario, "starter_flaky:entrypoint"))
    scenario.wait_for_event("call", "AgentInvalid", "ConnectionError: the model server", seconds=60)
    scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, 60)
    assert scenario.session("call").status["replacements"] == 0


def test_program_exiting_at_import_ends_session_with_reason(scenario: Scenario) -> None:
    apply(scenario, own_agent(scenario, "starter_unset:entrypoint"))
    scenario.wait_for_event("call", "AgentInvalid", "sys.exit: STARTER_URL is not set", seconds=60)
    scenario.kube.patch("voicesession", "call", scenario.namespace, {"spec": {"limits": {"startSeconds": 1}}})
    found = scenario.wait_until_finished("call", 30)
    assert found.end_reason == "Invalid"
    assert "sys.exit: STARTER_URL is not set" in found.condition("Finished")["message"]
