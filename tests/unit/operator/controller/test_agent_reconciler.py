"""The reconciler of VoiceAgents: status, events, and sessions that wait for the memory, requests to forget."""

import pytest
from voicesession_common import JsonObject
from voicesession_common.api.constants import FORGET_USER_ANNOTATION
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.errors import ConflictError, RetryableError
from voicesession_operator.controller.agent_reconciler import AgentReconciler
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.domain.agent_plan import Failed, Invalid, Memory, NotConfigured, Resolved, Unavailable
from voicesession_operator.domain.memory import Deleted

from tests.support import operator_objects
from tests.support.builders import AGENT
from tests.support.fakes.reconciler_world import HELLO, FakeEventRecorder, FakeKubernetes

KEY = Key("default", AGENT)


class FakeDirectory:
    def __init__(self) -> None:
        self.answer: Memory = Resolved("agent-1")

    async def resolve(self, agent: VoiceAgent) -> Memory:
        return self.answer


class FakeUsers:
    """The memories of users: answers in order, the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Deleted | Failed] = [Deleted(1)]
        self.users: list[str] = []

    async def forget(self, agent: VoiceAgent, user: str) -> Deleted | Failed:
        self.users.append(user)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Scene:
    def __init__(self) -> None:
        self.users = FakeUsers()
        self.kube, self.directory, self.recorder = FakeKubernetes(), FakeDirectory(), FakeEventRecorder()
        self.cache = Cache()
        self.enqueued: list[Key] = []
        self.cache.upsert(ResourceKind.SESSION, operator_objects.session())
        agent = self.kube.put("voiceagents", operator_objects.agent(spec={"memory": {"letta": {"agent": "x"}}}))
        self.cache.upsert(ResourceKind.AGENT, agent)
        clients = (self.kube, self.directory, self.users, self.recorder)
        self.reconciler = AgentReconciler(*clients, self.cache, self.enqueued.append, lambda: 1000.0)

    def request(self, request: str, user: str) -> None:
        """Annotate the VoiceAgent like `kubectl voice forget`."""
        found = self.agent()
        annotations = found["metadata"].get("annotations", {}) | {FORGET_USER_ANNOTATION + request: user}
        changed = {**found, "metadata": {**found["metadata"], "annotations": annotations}}
        self.cache.upsert(ResourceKind.AGENT, self.kube.put("voiceagents", changed))

    def agent(self) -> JsonObject:
        return self.kube.objects["voiceagents", AGENT]


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


async def test_forget_request_is_answered_and_removed() -> None:
    scene = Scene()
    scene.request("r1", "alice")
    await scene.reconciler.reconcile(KEY)
    (answer,) = scene.agent()["status"]["forgotten"]
    assert (answer["request"], answer["removed"]) == ("r1", 1)
    assert scene.agent()["metadata"]["annotations"] == {}
    assert [event.reason for event in scene.recorder.events] == ["MemoryForgotten"]
    await scene.reconciler.reconcile(KEY)
    assert scene.users.users == ["alice"]


async def test_forget_request_waits_for_letta() -> None:
    scene = Scene()
    scene.users.answers = [Unavailable("Letta does not answer"), Deleted(1)]
    scene.request("r1", "alice")
    assert await scene.reconciler.reconcile(KEY) == 5
    assert scene.agent()["metadata"]["annotations"] == {f"{FORGET_USER_ANNOTATION}r1": "alice"}
    await scene.reconciler.reconcile(KEY)
    assert scene.agent()["status"]["forgotten"][0]["removed"] == 1


async def test_refused_forget_request_has_a_problem_in_the_status() -> None:
    scene = Scene()
    scene.users.answers = [Invalid("the session hello of this user is live"), NotConfigured()]
    scene.request("r1", "alice")
    scene.request("r2", "bob")
    await scene.reconciler.reconcile(KEY)
    problems = [item["problem"] for item in scene.agent()["status"]["forgotten"]]
    assert problems == ["the session hello of this user is live", "this installation has no Letta"]
    assert scene.recorder.events == []


async def test_conflict_keeps_number_of_deleted_agents() -> None:
    scene = Scene()
    scene.users.answers = [Deleted(2), Deleted(0)]
    scene.request("r1", "alice")
    scene.kube.errors["patch voiceagents"] = ConflictError("Conflict", "changed")
    await scene.reconciler.reconcile(KEY)
    await scene.reconciler.reconcile(KEY)
    assert scene.agent()["status"]["forgotten"][0]["removed"] == 2


async def test_annotation_kept_by_an_error_is_removed_later() -> None:
    scene = Scene()
    scene.request("r1", "alice")
    scene.kube.errors["patch voiceagents itself"] = RetryableError("Unavailable", "busy")
    with pytest.raises(RetryableError):
        await scene.reconciler.reconcile(KEY)
    await scene.reconciler.reconcile(KEY)
    assert (scene.agent()["metadata"]["annotations"], scene.users.users) == ({}, ["alice"])
