"""The safety nets under the watch and under ourselves: a full list against the cache, and rooms that nobody owns."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from voicesession_common.api.constants import POD_SELECTOR
from voicesession_common.api.voicesession import Status
from voicesession_common.errors import ExternalError
from voicesession_common.kube_client import AGENTS, PODS, SESSIONS

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Kind, Object, key_of, uid_of, version_of
from voicesession_operator.controller.informer import Intake
from voicesession_operator.controller.ports import Kube, Rooms

log = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 60.0
SWEEP_SECONDS: Final = 30.0
FIRST_RETRY_SECONDS: Final = 1.0
LISTED: Final = (
    # Agents come first: a session reconciled without its agent would be told that it does not exist.
    (Kind.AGENT, AGENTS, ""),
    (Kind.POD, PODS, POD_SELECTOR),
    (Kind.SESSION, SESSIONS, ""),
)


class Resync:
    """`namespaces` empty means all of them; `clock` gives Unix seconds."""

    def __init__(
        self,
        kube: Kube,
        rooms: Rooms,
        cache: Cache,
        intake: Intake,
        installation_id: str,
        namespaces: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._rooms = rooms
        self._cache = cache
        self._intake = intake
        self._installation_id = installation_id
        self._namespaces = namespaces
        self._clock = clock
        self.last_success: float | None = None
        for kind, _, _ in LISTED:
            metrics.RESYNC_DIFFERENCES.labels(kind.value)

    def age(self) -> float:
        """Seconds since the last full list; 0 before the first one."""
        return 0.0 if self.last_success is None else self._clock() - self.last_success

    async def first(self) -> None:
        """List until it has worked once: no decision may be made on an empty cache."""
        while True:
            if await self._guarded("resync", self.once):
                return
            await asyncio.sleep(FIRST_RETRY_SECONDS)

    async def run(self) -> None:
        """List for ever."""
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            await self._guarded("resync", self.once)

    async def run_sweep(self) -> None:
        """Sweep at once and then for ever."""
        while True:
            await self._guarded("sweep", self.sweep)
            await asyncio.sleep(SWEEP_SECONDS)

    async def once(self) -> None:
        """Take in every difference between the API server's list and the cache. Raises ExternalError."""
        for kind, resource, selector in LISTED:
            for namespace in self._namespaces or ("",):
                listed, version = await self._kube.list(resource, namespace, selector)
                self._compare(kind, namespace, listed, int(version) if version.isdecimal() else 0)
        self.last_success = self._clock()
        metrics.RESYNC_TIMESTAMP.set(self.last_success)

    def _compare(self, kind: Kind, namespace: str, listed: list[Object], version: int) -> None:
        uids = {uid_of(raw) for raw in listed}
        known = [raw for raw in self._cache.all(kind) if namespace in ("", key_of(raw).namespace)]
        # What is newer than the list cannot be missed in it: it was made after the list was.
        vanished = [raw for raw in known if uid_of(raw) not in uids and version_of(raw) <= version]
        changed = sum(self._intake.gone(kind, raw) for raw in vanished)
        changed += sum(self._intake.seen(kind, raw) for raw in listed)
        if changed and self.last_success is not None:
            metrics.RESYNC_DIFFERENCES.labels(kind.value).inc(changed)
            log.info("a full list differed from the watch", extra={"kind": kind.value, "objects": changed})

    async def sweep(self) -> None:
        """Delete our rooms that no live, unfinished session owns. Raises ExternalError.

        Rooms are listed before sessions: a room made in between has its session in the later list.
        """
        rooms = await self._rooms.list_our_rooms(self._installation_id)
        if not rooms:
            return
        wanted = await self._unfinished()
        for room in rooms:
            ours = not self._namespaces or room.namespace in self._namespaces
            if ours and room.session_uid not in wanted:
                await self._rooms.delete_room(room.name)
                metrics.ORPHAN_ROOMS.inc()
                log.info("an orphaned room was deleted", extra={"room": room.name, "session": room.session})

    async def _unfinished(self) -> set[str]:
        found: set[str] = set()
        for namespace in self._namespaces or ("",):
            sessions, _ = await self._kube.list(SESSIONS, namespace)
            found |= {uid_of(raw) for raw in sessions if Status.parse(raw.get("status") or {}).finished_at is None}
        return found

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except ExternalError as error:
            log.warning("will be tried again", extra={"task": what, "reason": error.reason})
            return False
        return True
