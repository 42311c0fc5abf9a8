"""Periodic resync: full lists repair the cache, and rooms and pods without a session are deleted."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from voicesession_common.api.constants import POD_SELECTOR
from voicesession_common.errors import NO_SUCH_KIND, ExternalError, RetryableError
from voicesession_common.kube_client import (
    AGENTS,
    ALL_NAMESPACES,
    NAMESPACES,
    PODS,
    POOLS,
    SESSIONS,
    KubernetesApi,
    ListPage,
)

from voicesession_operator import metrics
from voicesession_operator.controller.cache import (
    Cache,
    ResourceKind,
    is_finished,
    key_of,
    uid_of,
    version_of,
)
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.controller.orphan_pods import OrphanPods
from voicesession_operator.domain.humans import connecting_humans, present_humans
from voicesession_operator.domain.naming import cluster_id, room_name
from voicesession_operator.domain.observed import Room, RoomOwner

log = logging.getLogger(__name__)

CLUSTER_NAMESPACE: Final = "kube-system"
"""A namespace that every cluster has and nobody can delete; its UID identifies the cluster."""
RESYNC_SECONDS: Final = 60.0
UNREADABLE_RETRY_SECONDS: Final = 10.0
"""Interval of further attempts to list a namespace that could not be listed."""
ORPHAN_SECONDS: Final = 30.0
FIRST_RETRY_SECONDS: Final = 1.0
UNEXPECTED: Final = "UnexpectedError"
LISTED: Final = (
    # Agents come first: a session without its agent in the cache would be reported as AgentNotFound.
    (ResourceKind.AGENT, AGENTS, ""),
    (ResourceKind.POD, PODS, POD_SELECTOR),
    (ResourceKind.POOL, POOLS, ""),
    (ResourceKind.SESSION, SESSIONS, ""),
)


class Resync:
    """Lists objects and rooms. Empty `namespaces` mean all.

    `clock` returns Unix seconds, `monotonic` seconds that no change of the clock affects.
    """

    def __init__(
        self,
        kube: KubernetesApi,
        rooms: RoomDirectory,
        cache: Cache,
        informer: Informer,
        installation_id: str,
        namespaces: tuple[str, ...],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._rooms = rooms
        self._cache = cache
        self._informer = informer
        self._installation_id = installation_id
        self._namespaces = namespaces or (ALL_NAMESPACES,)
        self._clock = clock
        self._monotonic = monotonic
        self._age_from: float | None = None
        self._listed: set[str] = set()
        """Namespaces that were listed at least once."""
        self._unreadable: set[str] = set()
        self._unwatched_rooms = 0
        self.orphan_pods = OrphanPods(kube, cache)
        metrics.UNWATCHED_ROOMS.set(0)
        metrics.NAMESPACES_UNREADABLE.set(0)
        for kind, _, _ in LISTED:
            metrics.RESYNC_DIFFERENCES.labels(kind.value)

    def age(self) -> float:
        """Return the seconds since the last full list, or since the start of `fill_cache`; 0 before it."""
        return 0.0 if self._age_from is None else self._monotonic() - self._age_from

    async def fill_cache(self) -> None:
        """List until one namespace is listed: no decision may be based on an empty cache.

        The sessions of the other namespaces wait for the list of their own namespace. The cluster's identity is read
        before, because it marks the rooms that are created.
        """
        self._age_from = self._monotonic()
        while True:
            if await self._read_cluster() and await self.resync():
                return
            await asyncio.sleep(FIRST_RETRY_SECONDS)

    async def _read_cluster(self) -> bool:
        """Read the cluster's identity. Return False if the API server does not answer.

        Without the right to read it, orphan rooms are only found by the sessions of this cluster.
        """
        try:
            namespace = await self._kube.get(NAMESPACES, "", CLUSTER_NAMESPACE)
        except RetryableError:
            return False
        except ExternalError as error:
            log.warning("the cluster's identity cannot be read", extra={"reason": error.reason})
            return True
        self._rooms.cluster = cluster_id(uid_of(namespace))
        return True

    async def run(self) -> None:
        """List periodically, forever."""
        while True:
            for _ in range(int(RESYNC_SECONDS / UNREADABLE_RETRY_SECONDS)):
                await asyncio.sleep(UNREADABLE_RETRY_SECONDS)
                await self._attempt("unreadable namespaces", self.resync_unreadable)
            await self._attempt("resync", self.resync)

    async def run_orphans(self) -> None:
        """Delete orphan rooms and orphan pods now and then periodically, forever."""
        while True:
            await self._attempt("orphan rooms", self.delete_orphan_rooms)
            await self._attempt("orphan pods", self.orphan_pods.delete)
            await asyncio.sleep(ORPHAN_SECONDS)

    async def resync(self) -> bool:
        """Apply every difference between the API server's lists and the cache. Return False if no list succeeded.

        A namespace that is gone or forbidden costs only itself.
        """
        return any([await self._resync_namespace(namespace) for namespace in self._namespaces])

    async def resync_unreadable(self) -> None:
        """List the namespaces again that could not be listed."""
        for namespace in sorted(self._unreadable):
            await self._resync_namespace(namespace)

    async def _resync_namespace(self, namespace: str) -> bool:
        try:
            await self._list(namespace)
        except ExternalError as error:
            self._set_unreadable(namespace, error.reason)
            return False
        except Exception:
            log.exception("unexpected error, will be retried", extra={"task": "resync", "namespace": namespace})
            self._set_unreadable(namespace, UNEXPECTED)
            return False
        self._set_readable(namespace)
        return True

    async def _list(self, namespace: str) -> None:
        for kind, resource, selector in LISTED:
            if kind is ResourceKind.POOL:
                # A session or a pool without its pods in the cache would get other ones.
                self._informer.accept_sessions(namespace)
            try:
                await self._compare(kind, namespace, self._kube.pages(resource, namespace, selector))
            except RetryableError as error:
                # An upgrade that did not apply the CRDs has no pools.
                if kind is not ResourceKind.POOL or error.reason != NO_SUCH_KIND:
                    raise

    def _set_readable(self, namespace: str) -> None:
        if namespace in self._unreadable:
            log.info("a namespace can be read again", extra={"namespace": namespace})
        self._unreadable.discard(namespace)
        self._listed.add(namespace)
        self._age_from = self._monotonic()
        metrics.NAMESPACES_UNREADABLE.set(len(self._unreadable))
        metrics.RESYNC_TIMESTAMP.set(self._clock())

    def _set_unreadable(self, namespace: str, reason: str) -> None:
        if namespace not in self._unreadable:
            log.warning("a namespace cannot be read", extra={"namespace": namespace, "reason": reason})
        self._unreadable.add(namespace)
        metrics.NAMESPACES_UNREADABLE.set(len(self._unreadable))

    async def _compare(self, kind: ResourceKind, namespace: str, pages: AsyncIterator[ListPage]) -> None:
        """Compare page by page; of the list as a whole only the UIDs are kept."""
        uids: set[str] = set()
        changed = version = 0
        async for page in pages:
            uids.update(map(uid_of, page.items))
            changed += sum(self._informer.on_listed(kind, raw) for raw in page.items)
            version = int(page.version) if page.version.isdecimal() else 0
        known = [raw for raw in self._cache.all(kind) if namespace in (ALL_NAMESPACES, key_of(raw).namespace)]
        # An object newer than the list may have been created after it, so its absence means nothing.
        vanished = [raw for raw in known if uid_of(raw) not in uids and version_of(raw) <= version]
        changed += sum([await self._informer.on_missing(kind, raw) for raw in vanished])
        if changed and namespace in self._listed:
            metrics.RESYNC_DIFFERENCES.labels(kind.value).inc(changed)
            log.info("a full list differed from the watch", extra={"kind": kind.value, "objects": changed})

    async def delete_orphan_rooms(self) -> None:
        """Delete this installation's rooms without an unfinished session. Raise ExternalError if LiveKit fails.

        Rooms are listed before sessions: the session of a room created in between is in the later list. A room of an
        unfinished session in the cache, or of a namespace that cannot be listed, is kept. One without this cluster's
        identity can be another cluster's with the same installation ID: it is deleted only if its session is here, and
        finished. In a namespace that is not watched any more, a call goes on until all humans have left.
        """
        owners = {name: room.owner for name, room in (await self._rooms.rooms()).items() if not self._is_in_use(name)}
        rooms = {name: owner for name, owner in owners.items() if owner and self._is_own(owner)}
        known = {namespace: await self._rooms_of_sessions(namespace) for namespace in self._namespaces if rooms}
        unwatched = {name for name, owner in rooms.items() if not known.keys() & {ALL_NAMESPACES, owner.namespace}}
        self._show_unwatched(len(unwatched))
        for name, owner in rooms.items():
            is_ours = bool(self._rooms.cluster) and owner.cluster == self._rooms.cluster
            if name in unwatched:
                is_orphan = is_ours and await self._is_empty(name)
            else:
                is_in_use = known[ALL_NAMESPACES if ALL_NAMESPACES in known else owner.namespace]
                is_orphan = is_in_use is not None and not is_in_use.get(name, not is_ours)
            if is_orphan:
                await self._delete_orphan_room(name, owner)

    def _is_own(self, owner: RoomOwner) -> bool:
        return owner.installation == self._installation_id and owner.cluster in ("", self._rooms.cluster)

    def _is_in_use(self, room: str) -> bool:
        key = self._cache.session_of_room(room)
        return key is not None and not is_finished(self._cache.get(ResourceKind.SESSION, key) or {})

    async def _is_empty(self, name: str) -> bool:
        """Return whether no human is in the room or on the way into it."""
        found, _ = await self._rooms.observe(name, 0, None, fresh=True)
        self._rooms.forget(name)
        return isinstance(found, Room) and not present_humans(found) and not connecting_humans(found)

    def _show_unwatched(self, rooms: int) -> None:
        if rooms > self._unwatched_rooms:
            log.warning("rooms of namespaces that are not watched stay until humans leave", extra={"rooms": rooms})
        self._unwatched_rooms = rooms
        metrics.UNWATCHED_ROOMS.set(rooms)

    async def _rooms_of_sessions(self, namespace: str) -> dict[str, bool] | None:
        """Return for the room of each session in the namespace whether it is in use; None if it cannot be listed."""
        in_use: dict[str, bool] = {}
        try:
            async for page in self._kube.pages(SESSIONS, namespace):
                in_use |= {room_name(uid_of(raw)): not is_finished(raw) for raw in page.items}
        except ExternalError as error:
            self._set_unreadable(namespace, error.reason)
            return None
        return in_use

    async def _delete_orphan_room(self, name: str, owner: RoomOwner) -> None:
        extra = {"room": name, "session": owner.session}
        try:
            await self._rooms.delete_room(name)
        except ExternalError as error:
            log.warning("an orphan room could not be deleted", extra={**extra, "reason": error.reason})
            return
        metrics.ORPHAN_ROOMS.inc()
        log.info("an orphan room was deleted", extra=extra)

    async def _attempt(self, task: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do the work. No error may end the task, because the leader would end with it."""
        try:
            await work()
        except ExternalError as error:
            log.warning("failed, will be retried", extra={"task": task, "reason": error.reason})
        except Exception:
            log.exception("unexpected error, will be retried", extra={"task": task})
