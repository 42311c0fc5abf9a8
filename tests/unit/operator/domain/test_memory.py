"""Whose memory a session has: the VoiceAgent's, or its user's own."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.actions import SetPodState
from voicesession_operator.domain.agent_plan import Invalid, Memory, NotConfigured, Resolved, Unavailable

from tests.support.builders import T0, ObservedBuilder, agent, bound, joined_cluster, ready_session, session
from tests.support.plan_queries import action_kinds, decide, reasons, status_and_reason

SHARED = replace(agent(memory={"letta": {}}), letta_agent_id="agent-shared")
APART = replace(agent(memory={"letta": {"scope": "User"}}), letta_agent_id="agent-shared")


def told(user: str, world: ObservedBuilder) -> tuple[str, bool] | None:
    for action in decide(ready_session().user(user), world, T0 + 9).actions:
        if isinstance(action, SetPodState):
            return action.memory_agent_id, action.memory_read_only
    return None


@pytest.mark.parametrize(
    ("user", "world", "expected"),
    [
        ("", joined_cluster().agent(SHARED), ("agent-shared", False)),
        ("alice", joined_cluster().agent(SHARED), ("agent-shared", False)),
        ("", joined_cluster().agent(APART), ("agent-shared", True)),
        ("alice", joined_cluster().agent(APART), None),
        ("alice", joined_cluster().agent(APART).user_memory(Resolved("agent-alice")), ("agent-alice", False)),
        ("alice", joined_cluster().agent(APART).user_memory(Unavailable("x")), None),
        ("alice", joined_cluster().agent(APART).user_memory(NotConfigured()), None),
    ],
)
def test_whose(user: str, world: ObservedBuilder, expected: tuple[str, bool] | None) -> None:
    assert told(user, world) == expected


def test_a_pod_is_made_and_told_without_waiting_for_it() -> None:
    start = session().user("alice")
    world = joined_cluster().agent(APART)
    assert action_kinds(decide(start, world.pods().room(), T0)) == ["CreatePod"]
    (tell,) = decide(start, world.state(bound(session_uid="", epoch=0)), T0 + 1).actions
    assert isinstance(tell, SetPodState)
    assert tell.memory_agent_id == ""


def test_the_status_shows_it_and_an_outage_does_not_forget_it() -> None:
    start = ready_session().user("alice")
    world = joined_cluster().agent(APART).state(bound(memory_agent_id="agent-alice"))
    found = decide(start, world.user_memory(Resolved("agent-alice")), T0 + 9)
    assert found.status.memory_agent_id == "agent-alice"
    later = decide(start.stored(found.status), world.user_memory(Unavailable("x")), T0 + 19)
    assert (later.status, later.actions) == (found.status, ())
    restarted = decide(start.stored(found.status), world, T0 + 19)
    assert (restarted.status, restarted.actions) == (found.status, ())


@pytest.mark.parametrize(
    ("memory", "reason"), [(Unavailable("away"), "MemoryUnavailable"), (Invalid("refused"), "MemoryInvalid")]
)
def test_trouble_is_a_condition_once_and_heals(memory: Memory, reason: str) -> None:
    start, world = ready_session().user("alice"), joined_cluster().agent(APART)
    found = decide(start, world.user_memory(memory), T0 + 9)
    assert (status_and_reason(found.status, "MemoryReady"), status_and_reason(found.status, "Ready")[0]) == (
        ("False", reason),
        "True",
    )
    assert reasons(found) == [reason]
    assert decide(start.stored(found.status), world.user_memory(memory), T0 + 19).status == found.status
    state = bound(memory_agent_id="agent-alice")
    healed = decide(start.stored(found.status), world.state(state).user_memory(Resolved("agent-alice")), T0 + 20)
    assert status_and_reason(healed.status, "MemoryReady")[0] == "True"


def test_without_its_definition_a_session_keeps_its_memory_and_writes_nothing() -> None:
    stored = ready_session().status(memory_agent_id="agent-shared")
    world = joined_cluster().no_agent().state(bound(epoch=0))
    (tell,) = decide(stored, world, T0 + 9).actions
    assert isinstance(tell, SetPodState)
    assert (tell.memory_agent_id, tell.memory_read_only) == ("agent-shared", True)
