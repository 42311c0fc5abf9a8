"""Periodic resync: full lists repair the cache, and rooms without a session are deleted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import POD_SELECTOR
from voicesession_common.api.voicesession import Status
from voicesession_common.errors import ExternalError
from voicesession_common.kube_client import AGENTS, PODS, SESSIONS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, ResourceKind, key_of, uid_of, version_of
from voicesession_operator.controller.informer import Informer
from voicesession_operator.controller.ports import LiveKitRooms
from voicesession_operator.domain.naming import room_name

log = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 60.0
ORPHAN_SECONDS: Final = 30.0
FIRST_RETRY_SECONDS: Final = 1.0
LISTED: Final = (
    # Agents come first: a session without its agent in the cache would be reported as AgentNotFound.
    (ResourceKind.AGENT, AGENTS, ""),
    (ResourceKind.POD, PODS, POD_SELECTOR),
    (ResourceKind.SESSION, SESSIONS, ""),
)


class Resync:
    """Lists objects and rooms. Empty `namespaces` mean all; `clock` returns Unix seconds."""

    def __init__(
        self,
        kube: KubernetesApi,
        rooms: LiveKitRooms,
        cache: Cache,
        informer: Informer,
        installation_id: str,
        namespaces: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._rooms = rooms
        self._cache = cache
        self._informer = informer
        self._installation_id = installation_id
        self._namespaces = namespaces
        self._clock = clock
        self.last_success: float | None = None
        for kind, _, _ in LISTED:
            metrics.RESYNC_DIFFERENCES.labels(kind.value)

    def age(self) -> float:
        """Return the seconds since the last full list; 0 before the first one."""
        return 0.0 if self.last_success is None else self._clock() - self.last_success

    async def fill_cache(self) -> None:
        """List until one attempt succeeds: no decision may be based on an empty cache."""
        while True:
            if await self._attempt("resync", self.resync):
                return
            await asyncio.sleep(FIRST_RETRY_SECONDS)

    async def run(self) -> None:
        """List periodically, forever."""
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            await self._attempt("resync", self.resync)

    async def run_orphan_rooms(self) -> None:
        """Delete orphan rooms now and then periodically, forever."""
        while True:
            await self._attempt("orphan rooms", self.delete_orphan_rooms)
            await asyncio.sleep(ORPHAN_SECONDS)

    async def resync(self) -> None:
        """Apply every difference between the API server's lists and the cache. Raise ExternalError."""
        for kind, resource, selector in LISTED:
            for namespace in self._namespaces or ("",):
                listed, version = await self._kube.list(resource, namespace, selector)
                self._compare(kind, namespace, listed, int(version) if version.isdecimal() else 0)
        self.last_success = self._clock()
        metrics.RESYNC_TIMESTAMP.set(self.last_success)

    def _compare(self, kind: ResourceKind, namespace: str, listed: list[JsonObject], version: int) -> None:
        uids = {uid_of(raw) for raw in listed}
        known = [raw for raw in self._cache.all(kind) if namespace in ("", key_of(raw).namespace)]
        # An object newer than the list may have been created after it, so its absence means nothing.
        vanished = [raw for raw in known if uid_of(raw) not in uids and version_of(raw) <= version]
        changed = sum(self._informer.on_delete(kind, raw) for raw in vanished)
        changed += sum(self._informer.on_update(kind, raw) for raw in listed)
        if changed and self.last_success is not None:
            metrics.RESYNC_DIFFERENCES.labels(kind.value).inc(changed)
            log.info("a full list differed from the watch", extra={"kind": kind.value, "objects": changed})

    async def delete_orphan_rooms(self) -> None:
        """Delete this installation's rooms without an unfinished session. Raise ExternalError.

        Rooms are listed before sessions: the session of a room created in between is in the later list.
        """
        rooms = await self._rooms.list_owned_rooms(self._installation_id)
        if not rooms:
            return
        unfinished = await self._rooms_in_use()
        for room in rooms:
            watched = not self._namespaces or room.namespace in self._namespaces
            if watched and room.name not in unfinished:
                await self._rooms.delete_room(room.name)
                metrics.ORPHAN_ROOMS.inc()
                log.info("an orphan room was deleted", extra={"room": room.name, "session": room.session})

    async def _rooms_in_use(self) -> set[str]:
        found: set[str] = set()
        for namespace in self._namespaces or ("",):
            sessions, _ = await self._kube.list(SESSIONS, namespace)
            unfinished = (raw for raw in sessions if Status.parse(raw.get("status") or {}).finished_at is None)
            found |= {room_name(uid_of(raw)) for raw in unfinished}
        return found

    async def _attempt(self, task: str, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except ExternalError as error:
            log.warning("failed, will be retried", extra={"task": task, "reason": error.reason})
            return False
        return True
