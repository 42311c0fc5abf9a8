"""Kubernetes events on VoiceSessions and VoiceAgents: best effort, a failure is only counted."""

import logging
import uuid
from collections.abc import Callable
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.bounds import Rate, TokenBuckets
from voicesession_common.errors import ExternalError
from voicesession_common.kube_client import EVENTS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.domain.actions import Event

log = logging.getLogger(__name__)

NAME_CHARACTERS: Final = 200
"""Leaves space for the suffix in an object name of 253 characters."""
MESSAGE_CHARACTERS: Final = 1024
"""Longest message that the API server accepts."""
EVENT_RATE: Final = Rate(per_second=1 / 60, burst=60)
"""Limit for one reason of one object.

A large room fills within seconds. In the hour that Kubernetes keeps events there are never more than 120.
"""


class EventRecorder:
    """Writes core/v1 events; an event that fails or exceeds the rate limit is counted and dropped."""

    def __init__(self, kube: KubernetesApi, instance: str, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._instance = instance
        self._clock = clock
        self._buckets = TokenBuckets(EVENT_RATE)

    async def record(self, kind: str, about: JsonObject, event: Event) -> None:
        """Record `event` on the raw object `about`, of `kind` VoiceSession or VoiceAgent."""
        if self._buckets.take((about["metadata"]["uid"], event.reason), self._clock()):
            metrics.EVENTS_LOST.inc()
            return
        try:
            await self._kube.create(EVENTS, about["metadata"]["namespace"], self._body(kind, about, event))
        except ExternalError as error:
            metrics.EVENTS_LOST.inc()
            log.warning("an event could not be recorded", extra={"event": event.reason, "reason": error.reason})

    def _body(self, kind: str, about: JsonObject, event: Event) -> JsonObject:
        meta = about["metadata"]
        at = self._clock()
        now = to_rfc3339(round(at))[:19] + "Z"
        moments = {constants.AT_ANNOTATION: at, **dict(event.timestamps)}
        name = f"{meta['name'][:NAME_CHARACTERS].rstrip('-.')}.{uuid.uuid4().hex[:16]}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "annotations": {key: to_rfc3339(when) for key, when in moments.items()}},
            "involvedObject": {
                "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
                "kind": kind,
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:MESSAGE_CHARACTERS],
            "source": {"component": constants.MANAGED_BY},
            "reportingComponent": constants.MANAGED_BY,
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
