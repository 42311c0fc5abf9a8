"""The informer: changed objects enqueue the keys that they affect, and no object harms others."""

from typing import cast

from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support import operator_objects
from tests.support.builders import AGENT, UID
from tests.support.fakes.reconciler_world import HELLO, RecordingQueue


class Scene:
    """An informer of a cache, with the enqueued keys."""

    def __init__(self) -> None:
        self.cache, self.sessions, self.agents = Cache(), RecordingQueue(), RecordingQueue()
        self.informer = Informer(self.cache, cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], self.agents))


def test_changed_pod_enqueues_its_session() -> None:
    scene = Scene()
    assert scene.informer.on_update(ResourceKind.POD, operator_objects.pod())
    assert scene.informer.on_delete(ResourceKind.POD, operator_objects.pod(version=2))
    assert scene.sessions.keys == [HELLO, HELLO]


def test_changed_agent_enqueues_its_sessions() -> None:
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
