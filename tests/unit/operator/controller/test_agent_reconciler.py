"""The VoiceAgent's reconciler: status, events, and the sessions that wait for its memory."""

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.errors import ConflictError
from voicesession_operator.controller.agent_reconciler import AgentReconciler
from voicesession_operator.controller.cache import Cache, Key, Kind
from voicesession_operator.domain.agent_plan import Memory, Resolved, Unavailable

from tests.support import operator_objects
from tests.support.builders import AGENT
from tests.support.fakes.reconciler_world import HELLO, Kube, Recorder

KEY = Key("default", AGENT)


class Directory:
    def __init__(self) -> None:
        self.answer: Memory = Resolved("agent-1")

    async def resolve(self, agent: VoiceAgent) -> Memory:
        return self.answer


class Scene:
    def __init__(self) -> None:
        self.kube, self.directory, self.recorder, self.cache = Kube(), Directory(), Recorder(), Cache()
        self.enqueued: list[Key] = []
        self.cache.upsert(Kind.SESSION, operator_objects.session())
        made = self.kube.put("voiceagents", operator_objects.agent(spec={"memory": {"letta": {"agent": "x"}}}))
        self.cache.upsert(Kind.AGENT, made)
        arguments = (self.kube, self.directory, self.recorder, self.cache, self.enqueued.append, lambda: 1000.0)
        self.reconciler = AgentReconciler(*arguments)


async def test_a_memory_that_is_found_wakes_the_sessions_once() -> None:
    scene = Scene()
    assert await scene.reconciler.reconcile(KEY) == 300
    assert scene.kube.objects["voiceagents", AGENT]["status"]["letta"] == {"agentID": "agent-1"}
    assert scene.enqueued == [HELLO]
    await scene.reconciler.reconcile(KEY)
    assert scene.kube.writes == ["patch voiceagents"]
    assert scene.enqueued == [HELLO]


async def test_an_outage_is_said_once_and_retried_soon() -> None:
    scene = Scene()
    scene.directory.answer = Unavailable("Letta does not answer")
    again = [await scene.reconciler.reconcile(KEY) for _ in range(3)]
    assert again == [5, 5, 5]
    assert [event.reason for event in scene.recorder.events] == ["MemoryUnavailable"]
    assert scene.enqueued == []


async def test_a_lost_race_is_run_again() -> None:
    scene = Scene()
    scene.kube.errors["patch voiceagents"] = ConflictError("Conflict", "changed")
    assert await scene.reconciler.reconcile(KEY) == 0.05
    assert scene.recorder.events == []


async def test_a_deleted_agent_is_nobodys_concern() -> None:
    scene = Scene()
    assert await scene.reconciler.reconcile(Key("default", "gone")) is None
