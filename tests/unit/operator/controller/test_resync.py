"""The safety nets: a full list finds what the watch lost, and rooms without a session go."""

import pytest
from voicesession_common.errors import RetryableError
from voicesession_operator.clients.livekit import OwnedRoom
from voicesession_operator.controller.cache import Cache, Key, Kind
from voicesession_operator.controller.informer import Intake
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support import operator_objects
from tests.support.builders import ROOM, UID
from tests.support.fakes.reconciler_world import HELLO, Kube, Rooms


class Nets:
    def __init__(self, *namespaces: str) -> None:
        self.kube, self.rooms, self.cache = Kube(), Rooms(), Cache()
        self.sessions: WorkQueue[Key] = WorkQueue("sessions", self._nothing, 1)
        self.agents: WorkQueue[Key] = WorkQueue("agents", self._nothing, 1)
        intake = Intake(self.cache, self.sessions, self.agents)
        self.resync = Resync(self.kube, self.rooms, self.cache, intake, "installation-1", namespaces, lambda: 1000.0)

    async def _nothing(self, _: Key) -> float | None:
        return None

    def queued(self) -> list[Key]:
        found = [key for key, _ in self.sessions._waiting]
        self.sessions._waiting.clear()
        self.sessions._dirty.clear()
        return found


async def test_what_exists_is_found_and_enqueued() -> None:
    nets = Nets()
    nets.kube.put("voicesessions", operator_objects.session())
    nets.kube.put("voiceagents", operator_objects.agent())
    await nets.resync.once()
    assert nets.queued() == [HELLO]
    assert [key for key, _ in nets.agents._waiting] == [Key("default", "agent-66")]
    assert nets.resync.age() == 0


async def test_a_second_list_without_differences_enqueues_nothing() -> None:
    nets = Nets()
    nets.kube.put("voicesessions", operator_objects.session())
    await nets.resync.once()
    nets.queued()
    await nets.resync.once()
    assert nets.queued() == []


async def test_a_deletion_that_nobody_told_of_is_found() -> None:
    nets = Nets()
    pod = nets.kube.put("pods", operator_objects.pod())
    await nets.resync.once()
    nets.queued()
    del nets.kube.objects["pods", pod["metadata"]["name"]]
    await nets.resync.once()
    assert nets.cache.pods_of(UID) == []
    assert nets.queued() == [HELLO]


async def test_what_is_newer_than_the_list_stays() -> None:
    nets = Nets()
    nets.cache.upsert(Kind.POD, operator_objects.pod(version=nets.kube.version + 1))
    await nets.resync.once()
    assert len(nets.cache.pods_of(UID)) == 1


async def test_namespaces_that_are_not_watched_are_left_alone() -> None:
    nets = Nets("elsewhere")
    nets.cache.upsert(Kind.SESSION, operator_objects.session())
    await nets.resync.once()
    assert nets.cache.get(Kind.SESSION, HELLO) is not None


async def test_rooms_without_a_live_session_are_swept() -> None:
    nets = Nets()
    nets.kube.put("voicesessions", operator_objects.session())
    finished = operator_objects.session(name="over", uid="uid-over")
    nets.kube.put("voicesessions", {**finished, "status": {"finishedAt": "2025-11-22T23:20:11Z"}})
    nets.rooms.owned = [
        OwnedRoom(ROOM, "default", "hello", UID),
        OwnedRoom("vs-over", "default", "over", "uid-over"),
        OwnedRoom("vs-gone", "default", "gone", "uid-gone"),
    ]
    await nets.resync.sweep()
    assert nets.rooms.deleted == ["vs-over", "vs-gone"]


async def test_rooms_of_namespaces_that_are_not_watched_are_not_swept() -> None:
    nets = Nets("elsewhere")
    nets.rooms.owned = [OwnedRoom(ROOM, "default", "hello", UID)]
    await nets.resync.sweep()
    assert nets.rooms.deleted == []


async def test_nothing_is_swept_when_sessions_cannot_be_listed() -> None:
    nets = Nets()
    nets.rooms.owned = [OwnedRoom(ROOM, "default", "hello", UID)]
    nets.kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    with pytest.raises(RetryableError):
        await nets.resync.sweep()
    assert nets.rooms.deleted == []
