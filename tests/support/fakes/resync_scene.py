"""A resync with fakes: the API server by namespace, LiveKit's rooms, and recording queues."""

from typing import cast

from voicesession_common import JsonObject
from voicesession_common.kube_client import Resource
from voicesession_operator.controller.cache import Cache, Key
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.naming import cluster_id
from voicesession_operator.domain.observed import RoomOwner

from tests.support import operator_objects
from tests.support.fakes.livekit_rooms import FakeRooms, directory_of
from tests.support.fakes.reconciler_world import FakeKubernetes, RecordingQueue


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


def room_owner(namespace: str, session: str = "hello", cluster: str = CLUSTER) -> RoomOwner:
    """Return the owner of a room of this installation."""
    return RoomOwner("installation-1", namespace, session, cluster)


class ResyncScene:
    """A resync of the given namespaces, or of all."""

    def __init__(self, *namespaces: str) -> None:
        self.kube, self.rooms, self.cache, self.now = NamespacedKubernetes(), FakeRooms(), Cache(), 1000.0
        self.sessions, self.agents, self.pools = RecordingQueue(), RecordingQueue(), RecordingQueue()
        sessions, agents = cast(WorkQueue[Key], self.sessions), cast(WorkQueue[Key], self.agents)
        pools = cast(WorkQueue[Key], self.pools)
        self.informer = Informer(self.cache, sessions, agents, pools, self.kube)
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
