"""The memory of a session: shared by the VoiceAgent or separate for each user, and MemoryReady."""

from dataclasses import replace

import pytest
from voicesession_common import JsonObject
from voicesession_operator.domain.actions import SetPodState
from voicesession_operator.domain.agent_plan import Invalid, Memory, NotConfigured, Resolved, Unavailable
from voicesession_operator.domain.memory import MemoryTags, RetentionStep, UserAgent, retention_step

from tests.support.builders import T0, ObservedBuilder, agent, bound, joined_cluster, ready_session, session
from tests.support.plan_queries import action_kinds, decide, reasons, status_and_reason

SHARED = replace(agent(memory={"letta": {"scope": "Agent"}}), letta_agent_id="agent-shared")
SEPARATE = replace(agent(memory={"letta": {}}), letta_agent_id="agent-shared")


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


def test_users_have_separate_memories_by_default() -> None:
    cluster = joined_cluster().agent(SEPARATE)
    alices = sent_memory("alice", cluster.user_memory(Resolved("agent-alice")))
    bobs = sent_memory("bob", cluster.user_memory(Resolved("agent-bob")))
    assert (alices, bobs) == (("agent-alice", False), ("agent-bob", False))


@pytest.mark.parametrize(
    ("user", "letta", "expected"),
    [
        ("alice", {}, (True, "human")),
        ("alice", {"rememberBlock": "facts"}, (True, "facts")),
        ("alice", {"remember": "Disabled"}, (False, "human")),
        ("", {}, (False, "human")),
        ("", {"remember": "Enabled"}, (False, "human")),
        ("alice", {"scope": "Agent"}, (False, "human")),
        ("", {"scope": "Agent"}, (False, "human")),
        ("", {"scope": "Agent", "remember": "Enabled", "rememberBlock": "facts"}, (True, "facts")),
        ("", {"scope": "Agent", "remember": "Disabled"}, (False, "human")),
    ],
)
def test_remember_depends_on_scope_and_spec(user: str, letta: JsonObject, expected: tuple[bool, str]) -> None:
    definition = replace(agent(memory={"letta": letta}), letta_agent_id="agent-shared")
    cluster = joined_cluster().agent(definition).user_memory(Resolved("agent-alice"))
    (action,) = decide(ready_session().user(user), cluster, T0 + 9).actions
    assert isinstance(action, SetPodState)
    assert (action.memory_remember, action.memory_remember_block) == expected


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


TAGS = MemoryTags("i1")


@pytest.mark.parametrize(
    ("tags", "untagged", "allowed"),
    [
        (["voicesession-namespace:i1:default"], False, True),
        (["voicesession:i1:default/agent-66"], False, True),
        (["voicesession:i1:default/another/alice", "blue"], False, True),
        (["voicesession:i1:other/agent-66"], True, False),
        (["voicesession:i1:default-2/agent-66"], True, False),
        (["voicesession-namespace:i1:other"], True, False),
        (["voicesession-namespace:i2:default"], True, False),
        (["voicesession:i2:default/agent-66"], True, False),
        (["voicesession:i1:other/agent-66", "voicesession-namespace:i1:default"], False, True),
        (["blue"], False, False),
        (["blue"], True, True),
        ([], False, False),
    ],
)
def test_letta_agent_is_usable_in_own_namespace_only(tags: list[str], untagged: bool, allowed: bool) -> None:
    assert TAGS.may_use("default", tags, untagged=untagged) is allowed


@pytest.mark.parametrize(
    ("tag", "owner"),
    [
        (TAGS.user("default", "agent-66", "alice"), ("default", "agent-66", "alice")),
        (TAGS.user("default", "agent-66", "a/b:c"), ("default", "agent-66", "a/b:c")),
        (TAGS.agent("default", "agent-66"), None),
        (TAGS.users, None),
        (MemoryTags("i2").user("default", "agent-66", "alice"), None),
    ],
)
def test_owner_of_a_memory_is_read_from_tag(tag: str, owner: tuple[str, str, str] | None) -> None:
    assert TAGS.read_user(["blue", tag]) == owner


DAY = 86_400.0
LIMIT = 30 * DAY + DAY
"""30 days of retention, and the tolerance for clocks and for uses that are not recorded yet."""


@pytest.mark.parametrize(
    ("used_at", "days", "is_live", "step"),
    [
        (T0 - LIMIT, 30, False, RetentionStep.DELETE),
        (T0 - LIMIT + 1, 30, False, RetentionStep.KEEP),
        (T0 - LIMIT, 30, True, RetentionStep.KEEP),
        (T0 - 100 * LIMIT, 0, False, RetentionStep.MARK),
        (None, 30, False, RetentionStep.MARK),
        (T0 + 2 * DAY, 30, False, RetentionStep.MARK),
        (T0, 7, False, RetentionStep.MARK),
    ],
)
def test_retention_step_follows_last_use(used_at: float | None, days: int, is_live: bool, step: RetentionStep) -> None:
    found = UserAgent("agent-1", ("default", "agent-66", "alice"), used_at, retention_days=30)
    assert retention_step(found, days, T0, is_live=is_live) == step


def test_letta_agent_without_user_is_never_deleted() -> None:
    found = UserAgent("agent-1", None, used_at=0.0, retention_days=1)
    assert retention_step(found, 1, T0, is_live=False) == RetentionStep.KEEP
