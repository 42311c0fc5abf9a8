"""The status of a VoiceAgent."""

from dataclasses import replace

import pytest
from voicesession_common.api.voiceagent import Forgotten, VoiceAgent
from voicesession_operator.domain.agent_plan import Invalid, Memory, NotConfigured, Resolved, Unavailable, plan_agent

from tests.support.builders import T0, agent

REMEMBERS = agent(memory={"letta": {"agent": "Agent_66"}})


def after(definition: VoiceAgent, memory: Memory) -> VoiceAgent:
    status = plan_agent(definition, memory, T0).status
    raw = {
        "metadata": {"namespace": "default", "name": definition.name, "uid": "agent-uid", "generation": 1},
        "spec": definition.spec,
        "status": {key: value for key, value in status.items() if value is not None},
    }
    return VoiceAgent.parse(raw)


@pytest.mark.parametrize(
    ("definition", "memory", "ready", "letta"),
    [
        (agent(), NotConfigured(), ("True", "Valid"), None),
        (agent(), Unavailable("down"), ("True", "Valid"), None),
        (REMEMBERS, Resolved("agent-1"), ("True", "Valid"), {"agentID": "agent-1"}),
        (REMEMBERS, Unavailable("Letta does not answer"), ("False", "MemoryUnavailable"), None),
        (REMEMBERS, Invalid("no such agent"), ("False", "MemoryInvalid"), None),
        (REMEMBERS, NotConfigured(), ("False", "MemoryNotConfigured"), None),
    ],
)
def test_plan_agent_sets_ready_by_memory(
    definition: VoiceAgent, memory: Memory, ready: tuple[str, str], letta: object
) -> None:
    found = plan_agent(definition, memory, T0)
    (condition,) = found.status["conditions"]
    assert (condition["status"], condition["reason"]) == ready
    assert found.status["letta"] == letta
    assert [event.reason for event in found.events] == ([] if ready[0] == "True" else [ready[1]])
    assert found.changed


@pytest.mark.parametrize("memory", [Resolved("agent-1"), Unavailable("down"), Invalid("no")])
def test_repeated_plan_is_unchanged(memory: Memory) -> None:
    found = plan_agent(after(REMEMBERS, memory), memory, T0 + 60)
    assert (found.changed, found.events) == (False, ())


def test_letta_outage_keeps_agent_id() -> None:
    found = plan_agent(after(REMEMBERS, Resolved("agent-1")), Unavailable("down"), T0 + 60)
    assert found.status["letta"] == {"agentID": "agent-1"}
    assert found.requeue_after == 5.0


def test_configured_agent_id_survives_outage_only_after_check() -> None:
    definition = agent(memory={"letta": {"agentID": "agent-7"}})
    assert plan_agent(definition, Unavailable("down"), T0).status["letta"] is None
    checked = replace(definition, letta_agent_id="agent-7")
    assert plan_agent(checked, Unavailable("down"), T0).status["letta"] == {"agentID": "agent-7"}
    other = replace(definition, letta_agent_id="agent-6")
    assert plan_agent(other, Unavailable("down"), T0).status["letta"] is None


def test_memory_removed_from_spec_is_removed_from_status() -> None:
    stored = replace(after(REMEMBERS, Resolved("agent-1")), letta=None)
    assert plan_agent(stored, NotConfigured(), T0).status["letta"] is None


def test_new_generation_changes_status() -> None:
    stored = replace(after(REMEMBERS, Resolved("agent-1")), generation=2)
    found = plan_agent(stored, Resolved("agent-1"), T0 + 9)
    assert (found.changed, found.status["observedGeneration"]) == (True, 2)


def test_answers_to_forget_requests_are_stored_with_an_event_without_the_user() -> None:
    stored = replace(after(REMEMBERS, Resolved("agent-1")), forget_requests=(("r1", "alice"), ("r2", "bob")))
    answers = (Forgotten("r1", T0, removed=1), Forgotten("r2", T0, problem="the session hello of this user is live"))
    found = plan_agent(stored, Resolved("agent-1"), T0, answers)
    assert [item["request"] for item in found.status["forgotten"]] == ["r1", "r2"]
    assert [event.reason for event in found.events] == ["MemoryForgotten"]
    assert "alice" not in found.events[0].message
    assert (found.changed, found.requeue_after) == (True, None)


def test_forget_request_without_answer_is_tried_again() -> None:
    stored = replace(after(REMEMBERS, Resolved("agent-1")), forget_requests=(("r1", "alice"),))
    found = plan_agent(stored, Resolved("agent-1"), T0)
    assert (found.changed, found.requeue_after) == (False, 5.0)


def test_status_keeps_latest_answers_to_forget_requests() -> None:
    answers = tuple(Forgotten(f"r{number}", T0) for number in range(20))
    stored = replace(after(REMEMBERS, Resolved("agent-1")), forgotten=answers[:16])
    found = plan_agent(stored, Resolved("agent-1"), T0, answers[16:])
    assert [item["request"] for item in found.status["forgotten"]] == [f"r{number}" for number in range(4, 20)]
