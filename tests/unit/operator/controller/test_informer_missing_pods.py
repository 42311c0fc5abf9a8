"""The informer and pods that the watch shows no more: deleted ones, and ones that only lost a label."""

from typing import cast

import pytest
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.errors import RetryableError
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support import operator_objects
from tests.support.builders import UID
from tests.support.fakes.reconciler_world import HELLO, FakeKubernetes, RecordingQueue


class Scene:
    """An informer with one known pod, which also exists in Kubernetes."""

    def __init__(self) -> None:
        self.kube, self.cache = FakeKubernetes(), Cache()
        self.sessions, self.agents, self.pools = RecordingQueue(), RecordingQueue(), RecordingQueue()
        sessions, agents = cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], self.agents)
        pools = cast(WorkQueue[Key], self.pools)
        self.informer = Informer(self.cache, sessions, agents, pools, self.kube)
        self.stored = self.kube.put("pods", operator_objects.pod())
        self.informer.on_update(ResourceKind.POD, self.stored)
        self.sessions.keys.clear()

    async def take_label(self, label: str) -> JsonObject:
        """Take a label off the pod. The watch then sends DELETED, with the changed object."""
        changed = self.change_labels({label: None})
        await self.informer.on_deleted_event(ResourceKind.POD, changed)
        return changed

    def change_labels(self, labels: dict[str, str | None]) -> JsonObject:
        merged = {**self.stored["metadata"]["labels"], **labels}
        kept = {name: value for name, value in merged.items() if value is not None}
        self.stored = self.kube.put("pods", {**self.stored, "metadata": {**self.stored["metadata"], "labels": kept}})
        return self.stored

    def pods(self) -> list[str]:
        return [pod["metadata"]["uid"] for pod in self.cache.pods_of("default", UID)]


@pytest.mark.parametrize("label", [constants.MANAGED_BY_LABEL, constants.SESSION_UID_LABEL])
async def test_pod_without_label_still_belongs_to_session(label: str) -> None:
    scene = Scene()
    await scene.take_label(label)
    assert scene.pods() == ["pod-uid-0"]


async def test_restored_label_is_accepted() -> None:
    scene = Scene()
    await scene.take_label(constants.MANAGED_BY_LABEL)
    assert scene.informer.on_update(ResourceKind.POD, scene.change_labels({constants.MANAGED_BY_LABEL: "x"}))
    assert scene.pods() == ["pod-uid-0"]


async def test_deleted_pod_is_removed_and_stays_removed() -> None:
    scene = Scene()
    del scene.kube.objects["pods", scene.stored["metadata"]["name"]]
    assert await scene.informer.on_deleted_event(ResourceKind.POD, scene.stored)
    assert scene.sessions.keys == [HELLO]
    assert not scene.informer.on_update(ResourceKind.POD, operator_objects.pod(version=999))
    assert scene.pods() == []


async def test_deleted_pod_with_a_namesake_is_removed() -> None:
    scene = Scene()
    newer = {**scene.stored, "metadata": {**scene.stored["metadata"], "uid": "pod-uid-new"}}
    scene.kube.put("pods", newer)
    await scene.informer.on_deleted_event(ResourceKind.POD, scene.stored)
    assert scene.pods() == []


async def test_requested_deletion_needs_no_get() -> None:
    scene = Scene()
    scene.kube.errors["get pods"] = RetryableError("KubernetesUnavailable", "down")
    deleting = {**scene.stored["metadata"], "deletionTimestamp": "2025-11-22T23:20:11Z"}
    await scene.informer.on_deleted_event(ResourceKind.POD, {**scene.stored, "metadata": deleting})
    assert scene.pods() == []
    assert "get pods" in scene.kube.errors


async def test_missing_pod_is_kept_until_the_api_server_answers() -> None:
    scene = Scene()
    scene.kube.errors["get pods"] = RetryableError("KubernetesUnavailable", "down")
    await scene.informer.on_deleted_event(ResourceKind.POD, scene.stored)
    assert scene.pods() == ["pod-uid-0"]
    assert scene.sessions.keys == []
