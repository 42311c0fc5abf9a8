"""Users' memories: looked up in the background, once while fresh, bounded, and never in anybody's way."""

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_operator.controller.cache import Cache, Key, Kind
from voicesession_operator.controller.user_memory import UserKey, UserMemories
from voicesession_operator.domain.agent_plan import Memory, Resolved, Unavailable
from voicesession_operator.metrics import REGISTRY

from tests.support import operator_objects
from tests.support.builders import AGENT
from tests.support.fakes.reconciler_world import HELLO

KEY = UserKey(Key("default", AGENT), "alice")
DEFINITION = operator_objects.agent(spec={"memory": {"letta": {"scope": "User"}}})


class Directory:
    def __init__(self) -> None:
        self.answer: Memory = Resolved("agent-alice")
        self.asked: list[str] = []

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory:
        self.asked.append(user)
        return self.answer


class Scene:
    def __init__(self, capacity: int = 10) -> None:
        self.directory, self.cache, self.now = Directory(), Cache(), 1000.0
        self.woken: list[Key] = []
        self.cache.upsert(Kind.AGENT, DEFINITION)
        self.memories = UserMemories(self.directory, self.cache, self.woken.append, lambda: self.now, capacity=capacity)

    def ask(self, user: str = "alice") -> Memory | None:
        return self.memories.of(VoiceAgent.parse(DEFINITION), user, HELLO)


async def test_asking_never_waits_and_the_answer_wakes_the_session() -> None:
    scene = Scene()
    assert (scene.ask(), scene.directory.asked) == (None, [])
    await scene.memories.resolve(KEY)
    assert (scene.ask(), scene.woken, scene.directory.asked) == (Resolved("agent-alice"), [HELLO], ["alice"])


async def test_what_is_known_is_asked_again_after_a_while_and_wakes_nobody_when_it_is_the_same() -> None:
    scene = Scene()
    scene.ask()
    await scene.memories.resolve(KEY)
    scene.now += 400
    assert scene.ask() == Resolved("agent-alice")
    await scene.memories.resolve(KEY)
    assert scene.woken == [HELLO]


async def test_an_outage_is_counted_and_asked_again_soon() -> None:
    scene = Scene()
    scene.directory.answer = Unavailable("Letta does not answer")
    before = REGISTRY.get_sample_value("voicesession_user_memory_errors_total", {"kind": "Unavailable"}) or 0.0
    scene.ask()
    await scene.memories.resolve(KEY)
    assert scene.ask() == Unavailable("Letta does not answer")
    assert REGISTRY.get_sample_value("voicesession_user_memory_errors_total", {"kind": "Unavailable"}) == before + 1
    scene.directory.answer = Resolved("agent-alice")
    scene.now += 6
    scene.ask()
    await scene.memories.resolve(KEY)
    assert scene.ask() == Resolved("agent-alice")
    assert scene.woken == [HELLO, HELLO]


async def test_an_agent_that_is_gone_ends_the_matter() -> None:
    scene = Scene()
    scene.ask()
    scene.cache.remove(Kind.AGENT, DEFINITION)
    await scene.memories.resolve(KEY)
    assert (scene.directory.asked, scene.woken) == ([], [])


async def test_what_is_remembered_is_bounded() -> None:
    scene = Scene(capacity=2)
    for user in ("alice", "bob", "carol"):
        scene.ask(user)
        await scene.memories.resolve(KEY._replace(user=user))
    assert [scene.ask(user) is None for user in ("alice", "bob", "carol")] == [True, False, False]


def test_no_log_names_the_user() -> None:
    assert "alice" not in str(KEY)
