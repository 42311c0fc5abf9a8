"""The single status write of a reconcile: conditional on the observed version, and stored in the cache afterwards."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.reasons import Reason
from voicesession_common.errors import ConflictError, NotFoundError, TerminalError
from voicesession_common.kube_client import AGENTS, POOLS, SESSIONS, KubernetesApi

from voicesession_operator.controller.cache import Cache, Key, ResourceKind, key_of
from voicesession_operator.controller.ports import EventSink
from voicesession_operator.domain.actions import Event

log = logging.getLogger(__name__)

CONFLICT_SECONDS: Final = 0.05
RESOURCES: Final = {ResourceKind.SESSION: SESSIONS, ResourceKind.AGENT: AGENTS, ResourceKind.POOL: POOLS}
REFUSED: Final = ("Invalid", "RequestEntityTooLarge")
"""The API server's reasons for a status that the CRD does not accept."""


@dataclass(frozen=True)
class NotWritten:
    """A write that lost its race. `requeue_after` is in seconds; None when the object was deleted."""

    requeue_after: float | None


async def write_status(
    kube: KubernetesApi, recorder: EventSink, cache: Cache, kind: ResourceKind, raw: JsonObject, status: JsonObject
) -> JsonObject | NotWritten:
    """Write the status and return the stored object. Raise ExternalError for anything but a lost race.

    A status that the CRD refuses is reduced to the part that it accepts, so that an end can always be stored.
    """
    key = key_of(raw)
    try:
        stored, refusal = await _patch(kube, kind, raw, status)
    except NotFoundError:
        return NotWritten(None)
    except ConflictError:
        await _refresh(kube, cache, kind, key)
        return NotWritten(CONFLICT_SECONDS)
    cache.upsert(kind, stored)
    if refusal:
        log.warning("the status was refused, and a part of it stored", extra={"key": str(key), "refusal": refusal})
        await recorder.record(kind, stored, Event("Warning", str(Reason.STATUS_REFUSED), refusal))
    return stored


async def _patch(
    kube: KubernetesApi, kind: ResourceKind, raw: JsonObject, status: JsonObject
) -> tuple[JsonObject, str]:
    """Write the status, or else as much of it as is accepted. Return the stored object and the refusal, if any."""
    key, version, refused = key_of(raw), raw["metadata"]["resourceVersion"], list[TerminalError]()
    for part in (status, *_reduced(status)):
        try:
            stored = await kube.patch_status(RESOURCES[kind], key.namespace, key.name, version, part)
        except TerminalError as error:
            if error.reason not in REFUSED:
                raise
            refused.append(error)
        else:
            return stored, refused[0].message if refused else ""
    raise refused[0]


def _reduced(status: JsonObject) -> Iterator[JsonObject]:
    """Yield the status without texts, and then, only for the end of a session, its time alone.

    Other decisions are not reduced further: a decision that is stored in part would be made again.
    """
    conditions = [{**condition, "message": ""} for condition in status.get("conditions") or ()]
    yield {**status, "conditions": conditions}
    if status.get("finishedAt"):
        kept = ("type", "status", "lastTransitionTime")
        yield {
            "phase": status.get("phase"),
            "finishedAt": status["finishedAt"],
            "conditions": [{name: condition[name] for name in kept} for condition in conditions],
        }


async def _refresh(kube: KubernetesApi, cache: Cache, kind: ResourceKind, key: Key) -> None:
    try:
        cache.upsert(kind, await kube.get(RESOURCES[kind], key.namespace, key.name))
    except NotFoundError:
        return
