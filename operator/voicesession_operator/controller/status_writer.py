"""The one status write of a reconcile: against the version that was looked at, and into the cache once it is stored."""

from dataclasses import dataclass
from typing import Any, Final

from voicesession_common.errors import ConflictError, NotFoundError
from voicesession_common.kube_client import AGENTS, SESSIONS

from voicesession_operator.controller.cache import Cache, Key, Kind, key_of
from voicesession_operator.controller.ports import Kube

Object = dict[str, Any]

CONFLICT_SECONDS: Final = 0.05
RESOURCES: Final = {Kind.SESSION: SESSIONS, Kind.AGENT: AGENTS}


@dataclass(frozen=True)
class NotWritten:
    """The write lost its race; `again` is when to look once more, in seconds, None where the object is gone."""

    again: float | None


async def write_status(kube: Kube, cache: Cache, kind: Kind, raw: Object, status: Object) -> Object | NotWritten:
    """The object as it is stored now. Raises ExternalError for anything but a lost race."""
    key, version = key_of(raw), raw["metadata"]["resourceVersion"]
    try:
        stored = await kube.patch_status(RESOURCES[kind], key.namespace, key.name, version, status)
    except NotFoundError:
        return NotWritten(None)
    except ConflictError:
        await _refresh(kube, cache, kind, key)
        return NotWritten(CONFLICT_SECONDS)
    cache.upsert(kind, stored)
    return stored


async def _refresh(kube: Kube, cache: Cache, kind: Kind, key: Key) -> None:
    try:
        cache.upsert(kind, await kube.get(RESOURCES[kind], key.namespace, key.name))
    except NotFoundError:
        return
