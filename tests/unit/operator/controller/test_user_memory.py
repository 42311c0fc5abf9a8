"""Memories of users: background lookups, freshness, capacity, privacy of logs, deletion."""

from typing import Any

import pytest
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.user_memory import UserKey, UserMemories
from voicesession_operator.domain.agent_plan import Failed, Invalid, Memory, Resolved, Unavailable
from voicesession_operator.domain.memory import Deleted, UserAgent, UserAgentPage

from tests.support import operator_objects
from tests.support.builders import AGENT
from tests.support.fakes.reconciler_world import HELLO, FakeEventRecorder
from tests.support.metric_changes import counted

KEY = UserKey(Key("default", AGENT), "alice")
DEFINITION = operator_objects.agent(spec={"memory": {"letta": {"retentionDays": 30}}})


class FakeUserDirectory:
    def __init__(self) -> None:
        self.answer: Memory = Resolved("agent-alice")
        self.lookups: list[str] = []

        self.page: UserAgentPage | Failed = UserAgentPage((), is_last=True)
        self.pages: list[str] = []
        """The cursor of every page."""
        self.marked: list[tuple[str, float, int]] = []
        self.deleted: list[str] = []
        self.deletion: Deleted | Failed = Deleted(1)

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory:
        self.lookups.append(user)
        return self.answer

    async def forget_user(self, agent: VoiceAgent, user: str) -> Deleted | Failed:
        self.deleted.append(user)
        return self.deletion

    async def user_agents(self, after: str) -> UserAgentPage | Failed:
        self.pages.append(after)
        return self.page

    async def mark(self, found: UserAgent, used_at: float, retention_days: int) -> Deleted | Failed:
        self.marked.append((found.agent_id, used_at, retention_days))
        return Deleted(0)

    async def expire(self, found: UserAgent) -> Deleted | Failed:
        self.deleted.append(found.agent_id)
        return self.deletion


class Scene:
    def __init__(self, capacity: int = 10) -> None:
        self.directory, self.cache, self.now = FakeUserDirectory(), Cache(), 1000.0
        self.recorder = FakeEventRecorder()
        self.enqueued: list[Key] = []
        self.cache.upsert(ResourceKind.AGENT, DEFINITION)
        self.memories = UserMemories(
            self.directory,
            self.cache,
            self.recorder,
            self.enqueued.append,
            lambda: self.now,
            capacity=capacity,
        )

    def start_session(self, user: str, **status: Any) -> None:
        raw = operator_objects.session(spec={"user": user})
        self.cache.upsert(ResourceKind.SESSION, {**raw, "status": status})

    def delete_agent(self) -> None:
        self.cache.remove(ResourceKind.AGENT, DEFINITION)

    def lookup(self, user: str = "alice") -> Memory | None:
        return self.memories.lookup(VoiceAgent.parse(DEFINITION), user, HELLO)


async def test_lookup_returns_at_once_and_the_answer_enqueues_the_session() -> None:
    scene = Scene()
    assert (scene.lookup(), scene.directory.lookups) == (None, [])
    await scene.memories.resolve(KEY)
    assert (scene.lookup(), scene.enqueued) == (Resolved("agent-alice"), [HELLO])
    assert scene.directory.lookups == ["alice"]


async def test_stale_memory_is_refreshed_without_enqueuing_when_unchanged() -> None:
    scene = Scene()
    scene.lookup()
    await scene.memories.resolve(KEY)
    scene.now += 400
    assert scene.lookup() == Resolved("agent-alice")
    await scene.memories.resolve(KEY)
    assert scene.enqueued == [HELLO]


async def test_outage_is_counted_and_retried_after_seconds() -> None:
    scene = Scene()
    scene.directory.answer = Unavailable("Letta does not answer")
    scene.lookup()
    with counted() as rise:
        await scene.memories.resolve(KEY)
    assert scene.lookup() == Unavailable("Letta does not answer")
    assert rise.of("voicesession_user_memory_errors_total", kind="Unavailable") == 1
    scene.directory.answer = Resolved("agent-alice")
    scene.now += 6
    scene.lookup()
    await scene.memories.resolve(KEY)
    assert scene.lookup() == Resolved("agent-alice")
    assert scene.enqueued == [HELLO, HELLO]


async def test_deleted_agent_ends_the_lookup() -> None:
    scene = Scene()
    scene.lookup()
    scene.delete_agent()
    await scene.memories.resolve(KEY)
    assert (scene.directory.lookups, scene.enqueued) == ([], [])


async def test_memories_at_capacity_drop_the_oldest() -> None:
    scene = Scene(capacity=2)
    for user in ("alice", "bob", "carol"):
        scene.lookup(user)
        await scene.memories.resolve(KEY._replace(user=user))
    assert [scene.lookup(user) is None for user in ("alice", "bob", "carol")] == [True, False, False]


def test_user_key_as_text_omits_the_user() -> None:
    assert "alice" not in str(KEY)


DAY = 86_400.0
DELETED = "voicesession_user_memories_deleted_total"


def user_agent(number: int, days_ago: float | None, user: str = "alice", days: int = 30) -> UserAgent:
    """Return a Letta agent that was last used so many days before day 1000."""
    used_at = None if days_ago is None else (1000 - days_ago) * DAY
    return UserAgent(f"agent-{number}", ("default", AGENT, user), used_at, days)


def sweeping(*agents: UserAgent, is_last: bool = True) -> Scene:
    scene = Scene()
    scene.now, scene.directory.page = 1000 * DAY, UserAgentPage(agents, is_last)
    return scene


async def test_forget_deletes_and_drops_the_known_memory() -> None:
    scene = Scene()
    scene.lookup()
    await scene.memories.resolve(KEY)
    with counted() as rise:
        assert await scene.memories.forget(VoiceAgent.parse(DEFINITION), "alice") == Deleted(1)
    assert (scene.directory.deleted, scene.lookup()) == (["alice"], None)
    assert rise.of(DELETED, cause="forgotten") == 1


async def test_forget_is_refused_while_a_session_of_the_user_is_live() -> None:
    scene = Scene()
    scene.start_session("alice", phase="Active")
    answer = await scene.memories.forget(VoiceAgent.parse(DEFINITION), "alice")
    assert answer == Invalid("the session hello of this user is live")
    assert scene.directory.deleted == []


@pytest.mark.parametrize(("user", "status"), [("bob", {}), ("alice", {"finishedAt": "2026-01-01T10:00:00Z"})])
async def test_other_and_finished_sessions_do_not_prevent_forget(user: str, status: dict[str, str]) -> None:
    scene = Scene()
    scene.start_session(user, **status)
    assert await scene.memories.forget(VoiceAgent.parse(DEFINITION), "alice") == Deleted(1)


async def test_finished_session_requests_no_lookup() -> None:
    scene = Scene()
    scene.start_session("alice", phase="Finished", finishedAt="2026-01-31T12:00:00Z")
    assert scene.lookup() is None
    await scene.memories.resolve(KEY)
    assert scene.enqueued == []


async def test_unused_memory_is_deleted_with_event_and_metric() -> None:
    scene = sweeping(user_agent(1, 31), user_agent(2, 30))
    with counted() as rise:
        await scene.memories.sweep()
    assert scene.directory.deleted == ["agent-1"]
    assert rise.of(DELETED, cause="expired") == 1
    (event,) = scene.recorder.events
    assert (event.reason, "alice" in event.message) == ("MemoryExpired", False)


async def test_memory_of_a_user_with_live_session_is_kept() -> None:
    scene = sweeping(user_agent(1, 400))
    scene.start_session("alice", phase="Active")
    await scene.memories.sweep()
    assert scene.directory.deleted == []


async def test_memory_without_recorded_use_is_marked_and_kept() -> None:
    scene = sweeping(user_agent(1, None))
    await scene.memories.sweep()
    assert (scene.directory.marked, scene.directory.deleted) == ([("agent-1", 1000 * DAY, 30)], [])


async def test_changed_retention_is_recorded_without_a_use() -> None:
    scene = sweeping(user_agent(1, 20, days=7))
    await scene.memories.sweep()
    assert scene.directory.marked == [("agent-1", 980 * DAY, 30)]


async def test_retention_goes_on_after_deletion_of_the_voice_agent() -> None:
    scene = sweeping(user_agent(1, 31), user_agent(2, 400, days=0))
    scene.delete_agent()
    await scene.memories.sweep()
    assert (scene.directory.deleted, scene.recorder.events) == (["agent-1"], [])


async def test_sweep_is_paced_and_continues_with_the_next_page() -> None:
    kept = user_agent(0, 1)
    scene = sweeping(kept, *(user_agent(number, 99) for number in range(1, 8)), is_last=False)
    await scene.memories.sweep()
    assert scene.directory.deleted == [f"agent-{number}" for number in range(1, 6)]
    scene.directory.page = UserAgentPage((user_agent(6, 99), user_agent(9, 1)), is_last=True)
    await scene.memories.sweep()
    await scene.memories.sweep()
    assert scene.directory.pages == ["", "agent-0", ""]


async def test_failed_deletion_does_not_stop_the_sweep() -> None:
    scene = sweeping(*(user_agent(number, 99) for number in range(6)), is_last=False)
    scene.directory.deletion = Invalid("Letta refuses the agent: it answers 400")
    await scene.memories.sweep()
    await scene.memories.sweep()
    assert scene.directory.pages == ["", "agent-4"]
    assert scene.recorder.events == []


async def test_sweep_without_answer_of_letta_deletes_no_agent() -> None:
    scene = Scene()
    scene.directory.page = Unavailable("Letta does not answer")
    await scene.memories.sweep()
    assert (scene.directory.deleted, scene.directory.marked) == ([], [])
