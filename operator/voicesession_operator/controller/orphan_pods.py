"""Deletes agent pods without a session: `kubectl delete --cascade=orphan` leaves them."""

import logging
from contextlib import suppress

from voicesession_common import JsonObject
from voicesession_common.api.constants import SESSION_UID_LABEL
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import PODS, SESSIONS, KubernetesApi

from voicesession_operator.controller.cache import (
    Cache,
    Key,
    ResourceKind,
    key_of,
    session_key_of,
    session_uid_of,
    uid_of,
)

log = logging.getLogger(__name__)


class OrphanPods:
    """Finds the pods in the cache; the API server decides about their sessions."""

    def __init__(self, kube: KubernetesApi, cache: Cache) -> None:
        self._kube = kube
        self._cache = cache

    async def delete(self) -> None:
        """Delete the agent pods of missing sessions."""
        for raw in list(self._cache.all(ResourceKind.POD)):
            session = session_key_of(raw)
            if session is None or not _may_be_orphan(raw):
                continue
            extra = {"pod": raw["metadata"]["name"], "session": str(session)}
            try:
                if not await self._exists(session, session_uid_of(raw)):
                    await self._delete(raw)
                    log.info("an orphan pod was deleted", extra=extra)
            except ExternalError as error:
                log.warning("an orphan pod could not be deleted", extra={**extra, "reason": error.reason})

    async def _exists(self, session: Key, uid: str) -> bool:
        """Return whether the session with this UID exists; the API server decides, not the cache."""
        known = self._cache.get(ResourceKind.SESSION, session)
        if known is not None and uid_of(known) == uid:
            return True
        try:
            return uid_of(await self._kube.get(SESSIONS, session.namespace, session.name)) == uid
        except NotFoundError:
            return False

    async def _delete(self, raw: JsonObject) -> None:
        key = key_of(raw)
        with suppress(NotFoundError, ConflictError):
            await self._kube.delete(PODS, key.namespace, key.name, uid_of(raw))


def _may_be_orphan(pod: JsonObject) -> bool:
    """Return whether the pod could outlive its session. A pod with another controller only has copied labels."""
    meta = pod["metadata"]
    return meta.get("labels", {}).get(SESSION_UID_LABEL) == session_uid_of(pod) and "deletionTimestamp" not in meta
