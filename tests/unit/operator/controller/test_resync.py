"""Resync: full lists repair the cache, and orphan rooms are deleted."""

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator
from typing import cast

import pytest
from voicesession_common import JsonObject
from voicesession_common.errors import NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import ListPage, Resource
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.naming import cluster_id, room_name
from voicesession_operator.domain.observed import ListedRoom, ParticipantKind, RoomOwner

from tests.support import operator_objects
from tests.support.async_polling import until
from tests.support.builders import ROOM, UID, human
from tests.support.fakes.livekit_rooms import FakeRooms, directory_of
from tests.support.fakes.reconciler_world import HELLO, FakeKubernetes, RecordingQueue
from tests.support.metric_changes import value

FORBIDDEN = TerminalError("Forbidden", "no Role there")
UNREADABLE = "voicesession_namespaces_unreadable"


class NamespacedKubernetes(FakeKubernetes):
    """Lists one namespace; `refused` maps a namespace to the error of all its lists."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, Exception] = {}

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        if namespace in self.refused:
            raise self.refused[namespace]
        found, version = await super().list(resource, namespace, selector)
        return [raw for raw in found if namespace in ("", raw["metadata"]["namespace"])], version


CLUSTER = cluster_id("uid-kube-system")


def owner(namespace: str, session: str = "hello", cluster: str = CLUSTER) -> RoomOwner:
    return RoomOwner("installation-1", namespace, session, cluster)


class Scene:
    def __init__(self, *namespaces: str) -> None:
        self.kube, self.rooms, self.cache, self.now = NamespacedKubernetes(), FakeRooms(), Cache(), 1000.0
        self.sessions, self.agents = RecordingQueue(), RecordingQueue()
        sessions, agents = cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], self.agents)
        self.informer = Informer(self.cache, sessions, agents, self.kube)
        self.directory = directory_of(self.rooms)
        self.directory.cluster = CLUSTER
        self.resync = Resync(
            self.kube,
            self.directory,
            self.cache,
            self.informer,
            "installation-1",
            namespaces,
            lambda: 1000.0,
            monotonic=lambda: self.now,
        )

    async def enqueued_by_resync(self) -> list[Key]:
        self.sessions.keys.clear()
        await self.resync.resync()
        return self.sessions.keys

    def put_session(self, namespace: str, name: str = "hello") -> Key:
        raw = operator_objects.session(name, f"uid-{namespace}-{name}")
        raw["metadata"]["namespace"] = namespace
        self.kube.put("voicesessions", raw)
        return Key(namespace, name)


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
    scene.rooms.owners = {
        ROOM: owner("default"),
        room_name("uid-over"): owner("default", "over"),
        room_name("uid-gone"): owner("default", "gone"),
    }
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [room_name("uid-over"), room_name("uid-gone")]


@pytest.mark.parametrize("cluster", ["", "another-cluster"])
async def test_rooms_of_another_cluster_with_the_same_installation_are_kept(cluster: str) -> None:
    scene = Scene()
    scene.kube.put("voicesessions", operator_objects.session())
    scene.rooms.owners = {
        room_name("uid-restored"): owner("default", "hello", cluster),
        room_name("uid-gone"): owner("default", "gone", cluster),
    }
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_room_without_a_cluster_is_deleted_after_the_session_finished_here() -> None:
    scene = Scene()
    finished = operator_objects.session(name="over", uid="uid-over")
    scene.kube.put("voicesessions", {**finished, "status": {"finishedAt": "2025-11-22T23:20:11Z"}})
    scene.rooms.owners = {room_name("uid-over"): owner("default", "over", "")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [room_name("uid-over")]


async def test_operator_without_cluster_identity_keeps_rooms_without_a_session_here() -> None:
    scene = Scene()
    scene.directory.cluster = ""
    scene.rooms.owners = {room_name("uid-gone"): owner("default", "gone", "")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_fill_cache_reads_the_cluster_identity_before_all_lists() -> None:
    scene = Scene()
    scene.directory.cluster = ""
    scene.kube.objects["namespaces", "kube-system"] = {"metadata": {"name": "kube-system", "uid": "uid-kube-system"}}
    scene.kube.errors["get namespaces"] = RetryableError("Timeout", "slow")
    filling = asyncio.create_task(scene.resync.fill_cache())
    await until(lambda: not scene.kube.errors)
    assert scene.kube.lists == []
    async with asyncio.timeout(30):
        await filling
    assert scene.directory.cluster == CLUSTER


async def test_fill_cache_without_the_right_to_read_the_cluster_identity_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.kube.errors["get namespaces"] = FORBIDDEN
    async with asyncio.timeout(30):
        await scene.resync.fill_cache()
    assert "the cluster's identity cannot be read" in caplog.messages


async def test_rooms_of_unwatched_namespaces_are_deleted_without_humans() -> None:
    scene = Scene("elsewhere")
    names = ["vs-empty", "vs-talk", "vs-connecting", "vs-agent", "vs-gone"]
    scene.rooms.owners = {name: owner("default") for name in [*names, "vs-foreign"]}
    scene.rooms.owners["vs-foreign"] = owner("default", cluster="")
    agent = human("agent", kind=ParticipantKind.AGENT)
    scene.rooms.rooms = {
        "vs-empty": [],
        "vs-talk": [human(), agent],
        "vs-connecting": [human(active=False), agent],
        "vs-agent": [agent],
        "vs-foreign": [],
    }
    await scene.resync.delete_orphan_rooms()
    assert sorted(scene.rooms.deleted) == ["vs-agent", "vs-empty"]
    assert value("voicesession_rooms_unwatched") == 6


async def test_unreadable_rooms_of_unwatched_namespaces_are_kept() -> None:
    scene = Scene("elsewhere")
    scene.rooms.owners = {ROOM: owner("default")}
    scene.rooms.unreadable = {ROOM: RetryableError("LiveKitUnavailable", "down")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_orphan_rooms_are_kept_when_sessions_cannot_be_listed() -> None:
    scene = Scene()
    scene.rooms.owners = {ROOM: owner("default")}
    scene.kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [ROOM]


@pytest.mark.parametrize(
    "error", [FORBIDDEN, NotFoundError("NotFound", "gone"), RetryableError("Timeout", "slow"), KeyError("metadata")]
)
async def test_unreadable_namespace_is_left_out(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene("team-b", "team-a")
    scene.kube.refused["team-b"] = error
    key = scene.put_session("team-a")
    async with asyncio.timeout(30):
        await scene.resync.fill_cache()
    assert scene.sessions.keys == [key]
    assert value(UNREADABLE) == 1
    await scene.resync.resync()
    await scene.resync.resync_unreadable()
    assert [record.message for record in caplog.records].count("a namespace cannot be read") == 1
    scene.kube.refused.clear()
    returned = scene.put_session("team-b", "back")
    await scene.resync.resync_unreadable()
    assert scene.sessions.keys == [key, returned]
    assert value(UNREADABLE) == 0


async def test_sessions_of_an_unreadable_namespace_wait_for_a_list() -> None:
    scene = Scene("team-b", "team-a")
    scene.kube.refused["team-b"] = FORBIDDEN
    key = scene.put_session("team-b")
    await scene.resync.resync()
    watched = scene.kube.objects["voicesessions", "hello"]
    assert not scene.informer.on_update(ResourceKind.SESSION, watched), "its pods are not in the cache"
    scene.kube.refused.clear()
    await scene.resync.resync_unreadable()
    assert scene.sessions.keys == [key]


async def test_age_without_a_readable_namespace_counts_from_the_start() -> None:
    scene = Scene("team-a", "team-b")
    scene.kube.refused = {"team-a": FORBIDDEN, "team-b": FORBIDDEN}
    assert scene.resync.age() == 0
    filling = asyncio.create_task(scene.resync.fill_cache())
    await asyncio.sleep(0)
    scene.now += 700
    assert scene.resync.age() == 700
    scene.kube.refused.clear()
    await scene.resync.resync()
    assert scene.resync.age() == 0
    filling.cancel()


async def test_orphan_rooms_of_an_unreadable_namespace_are_kept() -> None:
    scene = Scene("team-a", "team-b")
    scene.kube.refused["team-a"] = FORBIDDEN
    scene.rooms.owners = {"vs-a": owner("team-a"), "vs-b": owner("team-b")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == ["vs-b"]


async def test_orphan_room_with_a_failed_deletion_is_passed_over() -> None:
    scene = Scene()
    scene.rooms.refused["vs-1"] = TerminalError("LiveKitRefused", "no")
    scene.rooms.owners = {"vs-1": owner("default", "one"), "vs-2": owner("default", "two")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == ["vs-2"]


async def test_unexpected_error_of_the_orphan_rooms_ends_no_task() -> None:
    attempts = 0

    async def list_rooms() -> dict[str, ListedRoom]:
        nonlocal attempts
        attempts += 1
        raise RecursionError("metadata of a foreign room")

    scene = Scene()
    scene.rooms.list_rooms = list_rooms  # type: ignore[method-assign]
    running = asyncio.create_task(scene.resync.run_orphans())
    await until(lambda: attempts)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


async def test_object_without_required_fields_is_passed_over() -> None:
    scene = Scene()
    broken = operator_objects.session("broken", "uid-broken")
    del broken["spec"]["agentRef"]
    scene.kube.put("voicesessions", broken)
    key = scene.put_session("default", "whole")
    assert await scene.resync.resync()
    assert scene.sessions.keys == [key]
    assert scene.cache.get(ResourceKind.SESSION, Key("default", "broken")) is None


async def test_resync_holds_a_single_page(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, made, most = Scene(), list[weakref.ref[ListPage]](), 0

    async def pages(resource: Resource, namespace: str = "", selector: str = "") -> AsyncIterator[ListPage]:
        nonlocal most
        for number in range(20 if resource.plural == "pods" else 0):
            page = ListPage([operator_objects.pod(number)], "200")
            made.append(weakref.ref(page))
            most = max(most, sum(reference() is not None for reference in made))
            yield page

    monkeypatch.setattr(scene.kube, "pages", pages)
    await scene.resync.resync()
    assert len(list(scene.cache.all(ResourceKind.POD))) == 20
    assert most <= 2, "the page that is compared, and the page that is read"


async def test_failed_page_removes_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.put_session("default", "first")
    scene.put_session("default", "second")
    await scene.resync.resync()
    found = scene.kube.pages

    async def pages(resource: Resource, namespace: str = "", selector: str = "") -> AsyncIterator[ListPage]:
        async for page in found(resource, namespace, selector):
            yield page
            if resource.plural == "voicesessions":
                raise RetryableError("Expired", "the continue token has expired")

    monkeypatch.setattr(scene.kube, "pages", pages)
    assert not await scene.resync.resync()
    assert len(list(scene.cache.all(ResourceKind.SESSION))) == 2


async def test_first_list_puts_starts_and_deletions_before_other_sessions() -> None:
    scene = Scene()
    start, live, over, gone = (scene.put_session("default", name) for name in ("start", "live", "over", "gone"))
    for key, changes in (
        (live, {"status": {"phase": "Live"}}),
        (over, {"status": {"finishedAt": "2025-11-22T23:20:11Z"}}),
        (gone, {"status": {"phase": "Live"}}),
    ):
        scene.kube.put("voicesessions", {**scene.kube.objects["voicesessions", key.name], **changes})
    found = scene.kube.objects["voicesessions", "gone"]
    metadata = {**found["metadata"], "deletionTimestamp": "2025-11-22T23:20:11Z"}
    scene.kube.put("voicesessions", {**found, "metadata": metadata})
    await scene.resync.resync()
    assert (scene.sessions.polls, scene.sessions.delayed) == ([live], [over])
    assert sorted(scene.sessions.keys) == sorted([start, live, over, gone])
