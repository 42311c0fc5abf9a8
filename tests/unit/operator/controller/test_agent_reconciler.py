"""The reconciler of VoiceAgents: status, events, and sessions that wait for the memory."""

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.errors import ConflictError
from voicesession_operator.controller.agent_reconciler import AgentReconciler
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.domain.agent_plan import Memory, Resolved, Unavailable

from tests.support import operator_objects
from tests.support.builders import AGENT
from tests.support.fakes.reconciler_world import HELLO, FakeEventRecorder, FakeKubernetes

KEY = Key("default", AGENT)


class FakeDirectory:
    def __init__(self) -> None:
        self.answer: Memory = Resolved("agent-1")

    async def resolve(self, agent: VoiceAgent) -> Memory:
        return self.answer


class Scene:
    def __init__(self) -> None:
        self.kube, self.directory, self.recorder = FakeKubernetes(), FakeDirectory(), FakeEventRecorder()
        self.cache = Cache()
        self.enqueued: list[Key] = []
        self.cache.upsert(ResourceKind.SESSION, operator_objects.session())
        agent = self.kube.put("voiceagents", operator_objects.agent(spec={"memory": {"letta": {"agent": "x"}}}))
        self.cache.upsert(ResourceKind.AGENT, agent)
        arguments = (self.kube, self.directory, self.recorder, self.cache, self.enqueued.append, lambda: 1000.0)
        self.reconciler = AgentReconciler(*arguments)


async def test_resolved_memory_enqueues_the_sessions_once() -> None:
    scene = Scene()
    assert await scene.reconciler.reconcile(KEY) == 300
    assert scene.kube.objects["voiceagents", AGENT]["status"]["letta"] == {"agentID": "agent-1"}
    assert scene.enqueued == [HELLO]
    await scene.reconciler.reconcile(KEY)
    assert scene.kube.writes == ["patch voiceagents"]
    assert scene.enqueued == [HELLO]


async def test_outage_of_letta_emits_a_single_event_and_is_retried() -> None:
    scene = Scene()
    scene.directory.answer = Unavailable("Letta does not answer")
    waits = [await scene.reconciler.reconcile(KEY) for _ in range(3)]
    assert waits == [5, 5, 5]
    assert [event.reason for event in scene.recorder.events] == ["MemoryUnavailable"]
    assert scene.enqueued == []


async def test_conflict_requeues_without_events() -> None:
    scene = Scene()
    scene.kube.errors["patch voiceagents"] = ConflictError("Conflict", "changed")
    assert await scene.reconciler.reconcile(KEY) == 0.05
    assert scene.recorder.events == []


async def test_deleted_agent_is_not_requeued() -> None:
    scene = Scene()
    assert await scene.reconciler.reconcile(Key("default", "gone")) is None
