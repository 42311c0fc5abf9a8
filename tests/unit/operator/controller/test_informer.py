"""The informer: changed objects enqueue the keys that they affect, and no object harms others."""

from itertools import islice
from typing import cast

import kopf
from voicesession_common import JsonObject
from voicesession_common.kube_client import ALL_NAMESPACES
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.informer import Informer, NoMemories, build_settings
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support import operator_objects
from tests.support.builders import AGENT, UID
from tests.support.fakes.reconciler_world import HELLO, FakeKubernetes, RecordingQueue


class Scene:
    """An informer of a cache, with the enqueued keys."""

    def __init__(self) -> None:
        self.cache, self.pools = Cache(), RecordingQueue()
        self.sessions, self.agents = RecordingQueue(), RecordingQueue()
        sessions, agents = cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], self.agents)
        pools = cast(WorkQueue[Key], self.pools)
        self.informer = Informer(self.cache, sessions, agents, pools, FakeKubernetes())
        self.informer.accept_sessions("default")


async def test_changed_pod_enqueues_the_session() -> None:
    scene = Scene()
    assert scene.informer.on_update(ResourceKind.POD, operator_objects.pod())
    assert await scene.informer.on_deleted_event(ResourceKind.POD, operator_objects.pod(version=2))
    assert scene.sessions.keys == [HELLO, HELLO]


def test_changed_agent_enqueues_all_sessions() -> None:
    scene = Scene()
    scene.informer.on_update(ResourceKind.SESSION, operator_objects.session())
    scene.informer.on_update(ResourceKind.AGENT, operator_objects.agent())
    assert (scene.sessions.keys, scene.agents.keys) == ([HELLO, HELLO], [Key("default", AGENT)])


def test_pod_of_another_namespace_enqueues_no_session() -> None:
    scene, raw = Scene(), operator_objects.pod()
    raw["metadata"]["namespace"] = "team-b"
    scene.informer.on_update(ResourceKind.POD, raw)
    assert scene.sessions.keys == []
    assert scene.cache.pods_of("default", UID) == []


def test_session_of_an_unlisted_namespace_is_ignored() -> None:
    scene, raw = Scene(), operator_objects.session()
    raw["metadata"]["namespace"] = "team-b"
    assert not scene.informer.on_update(ResourceKind.SESSION, raw)
    scene.informer.accept_sessions(ALL_NAMESPACES)
    assert scene.informer.on_update(ResourceKind.SESSION, raw)


def test_session_without_an_agent_is_ignored() -> None:
    scene, raw = Scene(), operator_objects.session()
    scene.informer.on_update(ResourceKind.SESSION, operator_objects.session())
    broken: JsonObject = {**raw, "metadata": {**raw["metadata"], "resourceVersion": "2"}, "spec": {}}
    assert not scene.informer.on_update(ResourceKind.SESSION, broken)
    assert scene.cache.sessions_of(Key("default", AGENT)) == [HELLO]


def test_watch_of_a_forbidden_namespace_is_retried_endlessly() -> None:
    backoffs = build_settings().networking.error_backoffs
    assert not isinstance(backoffs, float)
    for _ in range(2):
        pauses = list(islice(backoffs, 1000))
        assert (len(pauses), pauses[0], pauses[-1]) == (1000, 1.0, 55.0)


async def test_kopf_keeps_no_memory_of_an_object() -> None:
    memories, raw = NoMemories(), kopf.RawBody(metadata={"uid": UID})
    first = await memories.recall(raw, noticed_by_listing=True)
    assert await memories.recall(raw) is not first
    assert list(memories.iter_all_memories()) == []


def test_kopf_copies_no_object_to_find_differences() -> None:
    body = kopf.Body(cast(kopf.RawBody, operator_objects.pod()))
    storage = build_settings().persistence.diffbase_storage
    assert storage.build(body=body, extra_fields=["status"]) == {}
    assert storage.fetch(body=body) is None


def test_changed_pool_pod_or_agent_enqueues_the_pool() -> None:
    scene, front = Scene(), Key("default", "front")
    scene.informer.on_update(ResourceKind.POOL, operator_objects.pool())
    scene.informer.on_update(ResourceKind.POD, operator_objects.warm_pod())
    scene.informer.on_update(ResourceKind.AGENT, operator_objects.agent())
    assert scene.pools.keys == [front] * 3
    assert scene.sessions.keys == []


def test_pool_of_an_unlisted_namespace_is_ignored() -> None:
    scene, raw = Scene(), operator_objects.pool()
    raw["metadata"]["namespace"] = "team-b"
    scene.informer.on_update(ResourceKind.POOL, raw)
    assert scene.pools.keys == []


def test_listed_pod_enqueues_the_pool() -> None:
    scene = Scene()
    scene.informer.on_listed(ResourceKind.POD, operator_objects.warm_pod())
    assert scene.pools.keys == [Key("default", "front")]
