"""The single status write of a reconcile: conditional on the observed version, and stored in the cache afterwards."""

from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.errors import ConflictError, NotFoundError
from voicesession_common.kube_client import AGENTS, SESSIONS, KubernetesApi

from voicesession_operator.controller.cache import Cache, Key, ResourceKind, key_of

CONFLICT_SECONDS: Final = 0.05
RESOURCES: Final = {ResourceKind.SESSION: SESSIONS, ResourceKind.AGENT: AGENTS}


@dataclass(frozen=True)
class NotWritten:
    """A write that lost its race. `requeue_after` is in seconds; None when the object was deleted."""

    requeue_after: float | None


async def write_status(
    kube: KubernetesApi, cache: Cache, kind: ResourceKind, raw: JsonObject, status: JsonObject
) -> JsonObject | NotWritten:
    """Write the status and return the stored object. Raise ExternalError for anything but a lost race."""
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


async def _refresh(kube: KubernetesApi, cache: Cache, kind: ResourceKind, key: Key) -> None:
    try:
        cache.upsert(kind, await kube.get(RESOURCES[kind], key.namespace, key.name))
    except NotFoundError:
        return
