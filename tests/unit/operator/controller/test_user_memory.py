"""Memories of users: background lookups, freshness, capacity, privacy of logs."""

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.user_memory import UserKey, UserMemories
from voicesession_operator.domain.agent_plan import Memory, Resolved, Unavailable

from tests.support import operator_objects
from tests.support.builders import AGENT
from tests.support.fakes.reconciler_world import HELLO
from tests.support.metric_changes import counted

KEY = UserKey(Key("default", AGENT), "alice")
DEFINITION = operator_objects.agent(spec={"memory": {"letta": {"scope": "User"}}})


class FakeUserDirectory:
    def __init__(self) -> None:
        self.answer: Memory = Resolved("agent-alice")
        self.lookups: list[str] = []

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory:
        self.lookups.append(user)
        return self.answer


class Scene:
    def __init__(self, capacity: int = 10) -> None:
        self.directory, self.cache, self.now = FakeUserDirectory(), Cache(), 1000.0
        self.enqueued: list[Key] = []
        self.cache.upsert(ResourceKind.AGENT, DEFINITION)
        self.memories = UserMemories(
            self.directory, self.cache, self.enqueued.append, lambda: self.now, capacity=capacity
        )

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
    scene.cache.remove(ResourceKind.AGENT, DEFINITION)
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
