"""Resync: full lists repair the cache, and orphan rooms are deleted."""

from typing import cast

import pytest
from voicesession_common.errors import RetryableError
from voicesession_operator.clients.livekit import OwnedRoom
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.naming import room_name

from tests.support import operator_objects
from tests.support.builders import ROOM, UID
from tests.support.fakes.reconciler_world import HELLO, FakeKubernetes, FakeRooms, RecordingQueue


class Scene:
    def __init__(self, *namespaces: str) -> None:
        self.kube, self.rooms, self.cache = FakeKubernetes(), FakeRooms(), Cache()
        self.sessions, self.agents = RecordingQueue(), RecordingQueue()
        informer = Informer(self.cache, cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], self.agents))
        self.resync = Resync(self.kube, self.rooms, self.cache, informer, "installation-1", namespaces, lambda: 1000.0)

    async def enqueued_by_resync(self) -> list[Key]:
        self.sessions.keys.clear()
        await self.resync.resync()
        return self.sessions.keys


async def test_resync_enqueues_new_objects() -> None:
    scene = Scene()
    scene.kube.put("voicesessions", operator_objects.session())
    scene.kube.put("voiceagents", operator_objects.agent())
    assert await scene.enqueued_by_resync() == [HELLO]
    assert scene.agents.keys == [Key("default", "agent-66")]
    assert scene.resync.age() == 0


async def test_resync_without_differences_enqueues_no_key() -> None:
    scene = Scene()
    scene.kube.put("voicesessions", operator_objects.session())
    await scene.resync.resync()
    assert await scene.enqueued_by_resync() == []


async def test_resync_finds_a_missed_deletion() -> None:
    scene = Scene()
    pod = scene.kube.put("pods", operator_objects.pod())
    await scene.resync.resync()
    del scene.kube.objects["pods", pod["metadata"]["name"]]
    assert await scene.enqueued_by_resync() == [HELLO]
    assert scene.cache.pods_of("default", UID) == []


async def test_resync_keeps_objects_newer_than_the_list() -> None:
    scene = Scene()
    scene.cache.upsert(ResourceKind.POD, operator_objects.pod(version=scene.kube.version + 1))
    await scene.resync.resync()
    assert len(scene.cache.pods_of("default", UID)) == 1


async def test_resync_ignores_unwatched_namespaces() -> None:
    scene = Scene("elsewhere")
    scene.cache.upsert(ResourceKind.SESSION, operator_objects.session())
    await scene.resync.resync()
    assert scene.cache.get(ResourceKind.SESSION, HELLO) is not None


async def test_rooms_of_finished_and_missing_sessions_are_deleted() -> None:
    scene = Scene()
    scene.kube.put("voicesessions", operator_objects.session())
    finished = operator_objects.session(name="over", uid="uid-over")
    scene.kube.put("voicesessions", {**finished, "status": {"finishedAt": "2025-11-22T23:20:11Z"}})
    scene.rooms.owned = [
        OwnedRoom(ROOM, "default", "hello"),
        OwnedRoom(room_name("uid-over"), "default", "over"),
        OwnedRoom(room_name("uid-gone"), "default", "gone"),
    ]
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [room_name("uid-over"), room_name("uid-gone")]


async def test_orphan_rooms_of_unwatched_namespaces_are_kept() -> None:
    scene = Scene("elsewhere")
    scene.rooms.owned = [OwnedRoom(ROOM, "default", "hello")]
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_orphan_rooms_are_kept_when_sessions_cannot_be_listed() -> None:
    scene = Scene()
    scene.rooms.owned = [OwnedRoom(ROOM, "default", "hello")]
    scene.kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    with pytest.raises(RetryableError):
        await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []
