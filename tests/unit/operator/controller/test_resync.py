"""Resync: full lists repair the cache."""

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator

import pytest
from voicesession_common.errors import NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import ListPage, Resource
from voicesession_operator.controller.cache import Key, ResourceKind

from tests.support import operator_objects
from tests.support.builders import UID
from tests.support.fakes.reconciler_world import HELLO
from tests.support.fakes.resync_scene import ResyncScene
from tests.support.metric_changes import value

FORBIDDEN = TerminalError("Forbidden", "no Role there")
UNREADABLE = "voicesession_namespaces_unreadable"


async def test_resync_enqueues_new_objects() -> None:
    scene = ResyncScene()
    scene.kube.put("voicesessions", operator_objects.session())
    scene.kube.put("voiceagents", operator_objects.agent())
    assert await scene.enqueued_by_resync() == [HELLO]
    assert scene.agents.keys == [Key("default", "agent-66")]
    assert scene.resync.age() == 0


async def test_resync_without_differences_enqueues_no_key() -> None:
    scene = ResyncScene()
    scene.kube.put("voicesessions", operator_objects.session())
    await scene.resync.resync()
    assert await scene.enqueued_by_resync() == []


async def test_resync_finds_a_missed_deletion() -> None:
    scene = ResyncScene()
    pod = scene.kube.put("pods", operator_objects.pod())
    await scene.resync.resync()
    del scene.kube.objects["pods", pod["metadata"]["name"]]
    assert await scene.enqueued_by_resync() == [HELLO]
    assert scene.cache.pods_of("default", UID) == []


async def test_resync_keeps_objects_newer_than_the_list() -> None:
    scene = ResyncScene()
    scene.cache.upsert(ResourceKind.POD, operator_objects.pod(version=scene.kube.version + 1))
    await scene.resync.resync()
    assert len(scene.cache.pods_of("default", UID)) == 1


async def test_resync_ignores_unwatched_namespaces() -> None:
    scene = ResyncScene("elsewhere")
    scene.cache.upsert(ResourceKind.SESSION, operator_objects.session())
    await scene.resync.resync()
    assert scene.cache.get(ResourceKind.SESSION, HELLO) is not None


@pytest.mark.parametrize(
    "error", [FORBIDDEN, NotFoundError("NotFound", "gone"), RetryableError("Timeout", "slow"), KeyError("metadata")]
)
async def test_unreadable_namespace_is_left_out(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = ResyncScene("team-b", "team-a")
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
    scene = ResyncScene("team-b", "team-a")
    scene.kube.refused["team-b"] = FORBIDDEN
    key = scene.put_session("team-b")
    await scene.resync.resync()
    watched = scene.kube.objects["voicesessions", "hello"]
    assert not scene.informer.on_update(ResourceKind.SESSION, watched), "its pods are not in the cache"
    scene.kube.refused.clear()
    await scene.resync.resync_unreadable()
    assert scene.sessions.keys == [key]


async def test_age_without_a_readable_namespace_counts_from_the_start() -> None:
    scene = ResyncScene("team-a", "team-b")
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


async def test_object_without_required_fields_is_passed_over() -> None:
    scene = ResyncScene()
    broken = operator_objects.session("broken", "uid-broken")
    del broken["spec"]["agentRef"]
    scene.kube.put("voicesessions", broken)
    key = scene.put_session("default", "whole")
    assert await scene.resync.resync()
    assert scene.sessions.keys == [key]
    assert scene.cache.get(ResourceKind.SESSION, Key("default", "broken")) is None


async def test_resync_holds_a_single_page(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, made, most = ResyncScene(), list[weakref.ref[ListPage]](), 0

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
    scene = ResyncScene()
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
    scene = ResyncScene()
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


async def test_cluster_without_the_definition_of_pools_is_served() -> None:
    scene = ResyncScene()
    scene.kube.put("voicesessions", operator_objects.session())
    scene.kube.errors["list voicepools"] = RetryableError("Status404", "no such kind")
    assert await scene.enqueued_by_resync() == [HELLO]
    assert value(UNREADABLE) == 0


async def test_unreadable_pools_make_the_namespace_unreadable() -> None:
    scene = ResyncScene()
    scene.kube.errors["list voicepools"] = RetryableError("KubernetesUnavailable", "down")
    assert not await scene.resync.resync()
    assert value(UNREADABLE) == 1
