"""Resync and rooms: orphan rooms are deleted, those of others are kept."""

import asyncio

import pytest
from voicesession_common.errors import RetryableError, TerminalError
from voicesession_operator.domain.naming import room_name
from voicesession_operator.domain.observed import ListedRoom, ParticipantKind

from tests.support import operator_objects
from tests.support.async_polling import until
from tests.support.builders import ROOM, human
from tests.support.fakes.resync_scene import CLUSTER, ResyncScene, room_owner
from tests.support.metric_changes import value

FORBIDDEN = TerminalError("Forbidden", "no Role there")
UNREADABLE = "voicesession_namespaces_unreadable"


async def test_rooms_of_finished_and_missing_sessions_are_deleted() -> None:
    scene = ResyncScene()
    scene.kube.put("voicesessions", operator_objects.session())
    finished = operator_objects.session(name="over", uid="uid-over")
    scene.kube.put("voicesessions", {**finished, "status": {"finishedAt": "2025-11-22T23:20:11Z"}})
    scene.rooms.owners = {
        ROOM: room_owner("default"),
        room_name("uid-over"): room_owner("default", "over"),
        room_name("uid-gone"): room_owner("default", "gone"),
    }
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [room_name("uid-over"), room_name("uid-gone")]


async def test_rooms_of_unfinished_sessions_in_the_cache_need_no_list() -> None:
    scene = ResyncScene()
    scene.put_session("default")
    await scene.resync.resync()
    scene.kube.lists.clear()
    scene.rooms.owners = {room_name("uid-default-hello"): room_owner("default")}
    await scene.resync.delete_orphan_rooms()
    assert (scene.kube.lists, scene.rooms.deleted) == ([], [])
    scene.rooms.owners[room_name("uid-gone")] = room_owner("default", "gone")
    await scene.resync.delete_orphan_rooms()
    assert (scene.kube.lists, scene.rooms.deleted) == (["voicesessions"], [room_name("uid-gone")])


@pytest.mark.parametrize("cluster", ["", "another-cluster"])
async def test_rooms_of_another_cluster_with_the_same_installation_are_kept(cluster: str) -> None:
    scene = ResyncScene()
    scene.kube.put("voicesessions", operator_objects.session())
    scene.rooms.owners = {
        room_name("uid-restored"): room_owner("default", "hello", cluster),
        room_name("uid-gone"): room_owner("default", "gone", cluster),
    }
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_room_without_a_cluster_is_deleted_after_the_session_finished_here() -> None:
    scene = ResyncScene()
    finished = operator_objects.session(name="over", uid="uid-over")
    scene.kube.put("voicesessions", {**finished, "status": {"finishedAt": "2025-11-22T23:20:11Z"}})
    scene.rooms.owners = {room_name("uid-over"): room_owner("default", "over", "")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [room_name("uid-over")]


async def test_operator_without_cluster_identity_keeps_rooms_without_a_session_here() -> None:
    scene = ResyncScene()
    scene.directory.cluster = ""
    scene.rooms.owners = {room_name("uid-gone"): room_owner("default", "gone", "")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_fill_cache_reads_the_cluster_identity_before_all_lists() -> None:
    scene = ResyncScene()
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
    scene = ResyncScene()
    scene.kube.errors["get namespaces"] = FORBIDDEN
    async with asyncio.timeout(30):
        await scene.resync.fill_cache()
    assert "the cluster's identity cannot be read" in caplog.messages


async def test_rooms_of_unwatched_namespaces_are_deleted_without_humans() -> None:
    scene = ResyncScene("elsewhere")
    names = ["vs-empty", "vs-talk", "vs-connecting", "vs-agent", "vs-gone"]
    scene.rooms.owners = {name: room_owner("default") for name in [*names, "vs-foreign"]}
    scene.rooms.owners["vs-foreign"] = room_owner("default", cluster="")
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
    scene = ResyncScene("elsewhere")
    scene.rooms.owners = {ROOM: room_owner("default")}
    scene.rooms.unreadable = {ROOM: RetryableError("LiveKitUnavailable", "down")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []


async def test_orphan_rooms_are_kept_when_sessions_cannot_be_listed() -> None:
    scene = ResyncScene()
    scene.rooms.owners = {ROOM: room_owner("default")}
    scene.kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == []
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == [ROOM]


async def test_orphan_rooms_of_an_unreadable_namespace_are_kept() -> None:
    scene = ResyncScene("team-a", "team-b")
    scene.kube.refused["team-a"] = FORBIDDEN
    scene.rooms.owners = {"vs-a": room_owner("team-a"), "vs-b": room_owner("team-b")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == ["vs-b"]


async def test_orphan_room_with_a_failed_deletion_is_passed_over() -> None:
    scene = ResyncScene()
    scene.rooms.refused["vs-1"] = TerminalError("LiveKitRefused", "no")
    scene.rooms.owners = {"vs-1": room_owner("default", "one"), "vs-2": room_owner("default", "two")}
    await scene.resync.delete_orphan_rooms()
    assert scene.rooms.deleted == ["vs-2"]


async def test_unexpected_error_of_the_orphan_rooms_ends_no_task() -> None:
    attempts = 0

    async def list_rooms() -> dict[str, ListedRoom]:
        nonlocal attempts
        attempts += 1
        raise RecursionError("metadata of a foreign room")

    scene = ResyncScene()
    scene.rooms.list_rooms = list_rooms  # type: ignore[method-assign]
    running = asyncio.create_task(scene.resync.run_orphans())
    await until(lambda: attempts)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
