"""Resync and pods: missing ones are asked for by name, and pods without a session are deleted."""

from typing import cast

import pytest
from voicesession_common import JsonObject
from voicesession_common.api.constants import SESSION_ANNOTATION
from voicesession_common.errors import RetryableError
from voicesession_common.kube_client import Resource
from voicesession_operator.controller.cache import Cache, Key, uid_of
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support import operator_objects
from tests.support.builders import UID
from tests.support.fakes.livekit_rooms import FakeRooms, directory_of
from tests.support.fakes.reconciler_world import FakeKubernetes, RecordingQueue


class Scene:
    """A resync of all namespaces."""

    def __init__(self) -> None:
        self.kube, self.cache, self.sessions = FakeKubernetes(), Cache(), RecordingQueue()
        sessions, agents = cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], RecordingQueue())
        informer = Informer(self.cache, sessions, agents, agents, self.kube)
        self.resync = Resync(
            self.kube, directory_of(FakeRooms()), self.cache, informer, "installation-1", (), lambda: 1000.0
        )

    async def enqueued_by_resync(self) -> list[Key]:
        self.sessions.keys.clear()
        await self.resync.resync()
        return self.sessions.keys


async def test_resync_keeps_a_pod_with_a_lost_label(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    pod = scene.kube.put("pods", operator_objects.pod())
    await scene.resync.resync()

    async def list_none(resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        return [], str(scene.kube.version)

    monkeypatch.setattr(scene.kube, "list", list_none)
    assert await scene.enqueued_by_resync() == []
    assert [uid_of(raw) for raw in scene.cache.pods_of("default", UID)] == [uid_of(pod)]


def orphan_pod(**metadata: object) -> JsonObject:
    """Return the pod of a deleted session after `kubectl delete --cascade=orphan`: without an owner."""
    raw = operator_objects.pod()
    kept = {name: value for name, value in raw["metadata"].items() if name != "ownerReferences"}
    return {**raw, "metadata": {**kept, **metadata}}


async def swept(scene: Scene, pod: JsonObject) -> bool:
    """Return whether the sweep deletes the pod."""
    scene.kube.put("pods", pod)
    await scene.resync.resync()
    await scene.resync.orphan_pods.delete()
    (stored,) = (raw for (kind, _), raw in scene.kube.objects.items() if kind == "pods")
    return scene.kube.writes == ["delete pods"] and "deletionTimestamp" in stored["metadata"]


async def test_pod_of_a_missing_session_is_deleted() -> None:
    assert await swept(Scene(), orphan_pod())
    assert await swept(Scene(), operator_objects.pod())


async def test_pod_of_a_former_session_with_the_same_name_is_deleted() -> None:
    scene = Scene()
    scene.kube.put("voicesessions", operator_objects.session(uid="another-uid"))
    assert await swept(scene, orphan_pod())


async def test_pod_of_an_existing_session_is_kept() -> None:
    scene = Scene()
    scene.kube.put("voicesessions", operator_objects.session())
    assert not await swept(scene, orphan_pod())


async def test_pod_of_an_uncached_session_is_kept() -> None:
    scene = Scene()
    scene.kube.put("pods", orphan_pod())
    await scene.resync.resync()
    scene.kube.put("voicesessions", operator_objects.session())
    await scene.resync.orphan_pods.delete()
    assert scene.kube.writes == []


OTHERS: dict[str, JsonObject] = {
    "another controller": {"ownerReferences": [{"uid": "replica-set", "controller": True}]},
    "no annotation": {"annotations": {}},
    "another namespace": {"annotations": {SESSION_ANNOTATION: "elsewhere/hello"}},
    "no label of a session": {"labels": {}},
    "deleted already": {"deletionTimestamp": "2025-11-22T23:20:11Z"},
}


@pytest.mark.parametrize("name", OTHERS)
async def test_other_pods_are_never_deleted(name: str) -> None:
    scene = Scene()
    scene.kube.put("pods", orphan_pod(**OTHERS[name]))
    await scene.resync.resync()
    await scene.resync.orphan_pods.delete()
    assert scene.kube.writes == []


async def test_orphan_pods_are_kept_when_their_session_cannot_be_read() -> None:
    scene = Scene()
    scene.kube.put("pods", orphan_pod())
    await scene.resync.resync()
    scene.kube.errors["get voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    await scene.resync.orphan_pods.delete()
    assert scene.kube.writes == []
    await scene.resync.orphan_pods.delete()
    assert scene.kube.writes == ["delete pods"]
