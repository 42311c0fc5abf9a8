"""The memory of a session: shared by the VoiceAgent or separate for each user, and MemoryReady."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.actions import SetPodState
from voicesession_operator.domain.agent_plan import Invalid, Memory, NotConfigured, Resolved, Unavailable

from tests.support.builders import T0, ObservedBuilder, agent, bound, joined_cluster, ready_session, session
from tests.support.plan_queries import action_kinds, decide, reasons, status_and_reason

SHARED = replace(agent(memory={"letta": {}}), letta_agent_id="agent-shared")
SEPARATE = replace(agent(memory={"letta": {"scope": "User"}}), letta_agent_id="agent-shared")


def sent_memory(user: str, cluster: ObservedBuilder) -> tuple[str, bool] | None:
    for action in decide(ready_session().user(user), cluster, T0 + 9).actions:
        if isinstance(action, SetPodState):
            return action.memory_agent_id, action.memory_read_only
    return None


@pytest.mark.parametrize(
    ("user", "cluster", "expected"),
    [
        ("", joined_cluster().agent(SHARED), ("agent-shared", False)),
        ("alice", joined_cluster().agent(SHARED), ("agent-shared", False)),
        ("", joined_cluster().agent(SEPARATE), ("agent-shared", True)),
        ("alice", joined_cluster().agent(SEPARATE), None),
        ("alice", joined_cluster().agent(SEPARATE).user_memory(Resolved("agent-alice")), ("agent-alice", False)),
        ("alice", joined_cluster().agent(SEPARATE).user_memory(Unavailable("x")), None),
        ("alice", joined_cluster().agent(SEPARATE).user_memory(NotConfigured()), None),
    ],
)
def test_memory_depends_on_user_and_scope(
    user: str, cluster: ObservedBuilder, expected: tuple[str, bool] | None
) -> None:
    assert sent_memory(user, cluster) == expected


def test_unresolved_memory_does_not_delay_pod() -> None:
    start = session().user("alice")
    cluster = joined_cluster().agent(SEPARATE)
    assert action_kinds(decide(start, cluster.pods().room(), T0)) == ["CreatePod"]
    (action,) = decide(start, cluster.state(bound(session_uid="", epoch=0)), T0 + 1).actions
    assert isinstance(action, SetPodState)
    assert action.memory_agent_id == ""


def test_memory_in_status_is_cleared_without_letta() -> None:
    """Expect no action: without Letta the pod gets no memory, so it could never report the one of the status."""
    start = ready_session().user("alice")
    cluster = joined_cluster().agent(SEPARATE).state(bound(memory_agent_id="agent-alice"))
    before = decide(start, cluster.user_memory(Resolved("agent-alice")), T0 + 9)
    replaced = cluster.state(bound()).user_memory(NotConfigured())
    found = decide(start.stored(before.status), replaced, T0 + 19)
    assert (found.status.memory_agent_id, found.actions) == ("", ())


def test_memory_in_status_survives_outage() -> None:
    start = ready_session().user("alice")
    cluster = joined_cluster().agent(SEPARATE).state(bound(memory_agent_id="agent-alice"))
    found = decide(start, cluster.user_memory(Resolved("agent-alice")), T0 + 9)
    assert found.status.memory_agent_id == "agent-alice"
    later = decide(start.stored(found.status), cluster.user_memory(Unavailable("x")), T0 + 19)
    assert (later.status, later.actions) == (found.status, ())
    restarted = decide(start.stored(found.status), cluster, T0 + 19)
    assert (restarted.status, restarted.actions) == (found.status, ())


@pytest.mark.parametrize(
    ("memory", "reason"), [(Unavailable("away"), "MemoryUnavailable"), (Invalid("refused"), "MemoryInvalid")]
)
def test_memory_problem_sets_condition_until_recovery(memory: Memory, reason: str) -> None:
    start, cluster = ready_session().user("alice"), joined_cluster().agent(SEPARATE)
    found = decide(start, cluster.user_memory(memory), T0 + 9)
    assert (status_and_reason(found.status, "MemoryReady"), status_and_reason(found.status, "Ready")[0]) == (
        ("False", reason),
        "True",
    )
    assert reasons(found) == [reason]
    assert decide(start.stored(found.status), cluster.user_memory(memory), T0 + 19).status == found.status
    state = bound(memory_agent_id="agent-alice")
    healed = decide(start.stored(found.status), cluster.state(state).user_memory(Resolved("agent-alice")), T0 + 20)
    assert status_and_reason(healed.status, "MemoryReady")[0] == "True"


def test_session_without_voice_agent_reads_stored_memory() -> None:
    stored = ready_session().status(memory_agent_id="agent-shared")
    cluster = joined_cluster().no_agent().state(bound(epoch=0))
    (action,) = decide(stored, cluster, T0 + 9).actions
    assert isinstance(action, SetPodState)
    assert (action.memory_agent_id, action.memory_read_only) == ("agent-shared", True)
