"""Claims of warm pods: a session that needs a pod takes one of a VoicePool instead of creating one."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import CLAIMED_AT_ANNOTATION, TEMPLATE_HASH_LABEL
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.errors import ConflictError, NotFoundError, TerminalError
from voicesession_common.kube_client import PODS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, key_of, uid_of
from voicesession_operator.domain.pool_size import LONG_SECONDS
from voicesession_operator.metric_labels import ClaimResult

log = logging.getLogger(__name__)

TRIES: Final = 8
"""Pods that one claim tries. Each try fails only if the pod has changed since the watch reported it."""
KEPT_ARRIVALS: Final = 10_000
"""Arrivals kept for each pool; more in LONG_SECONDS count as this many."""


@dataclass
class Tally:
    """The claims of one pool that its status does not count yet, and its latest arrivals in Unix seconds."""

    hits: int = 0
    misses: int = 0
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_ARRIVALS))


class PodClaims:
    """Gives warm pods to sessions; `enqueue` receives the pool of each claim. `clock` returns Unix seconds.

    A pod is taken by a patch of owner, labels and annotations at the resourceVersion that was seen, so one session at
    most gets it, however many leaders there are. A pod that has served never returns to its pool.
    """

    def __init__(
        self, kube: KubernetesApi, cache: Cache, enqueue: Callable[[Key], None], clock: Callable[[], float]
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._enqueue = enqueue
        self._clock = clock
        self._reserved: set[str] = set()
        """UIDs of pods whose claim is on its way, so that sessions do not compete for one pod."""
        self._tallies: dict[Key, Tally] = {}

    async def claim(self, session: VoiceSession, manifest: JsonObject) -> JsonObject | None:
        """Return a warm pod that now belongs to the session, or None if there is none.

        `manifest` is the pod that the session would create: only a pod with an equal template is taken. Raise
        RetryableError if the outcome is unknown.
        """
        pools = self._cache.pools_of(Key(session.namespace, session.agent_ref))
        if not pools:
            return None
        started, template = time.monotonic(), manifest["metadata"]["labels"][TEMPLATE_HASH_LABEL]
        tried = set[tuple[str, str]]()
        avoided = self._ending_nodes(session)
        while len(tried) < TRIES and (found := self._candidate(pools, template, tried, avoided)) is not None:
            pool, pod = found
            tried.add(_version(pod))
            claimed = await self._take(pod, manifest)
            if claimed is not None:
                metrics.CLAIM_SECONDS.observe(time.monotonic() - started)
                self._count(pool, ClaimResult.HIT)
                return claimed
        self._count(pools[0], ClaimResult.MISS)
        return None

    def tally(self, pool: Key) -> Tally:
        """Return the tally of the pool, without arrivals older than LONG_SECONDS."""
        tally = self._tallies.setdefault(pool, Tally())
        while tally.arrivals and tally.arrivals[0] < self._clock() - LONG_SECONDS:
            tally.arrivals.popleft()
        return tally

    def settle(self, pool: Key, hits: int, misses: int) -> None:
        """Subtract the claims that the stored status of the pool counts."""
        tally = self.tally(pool)
        tally.hits, tally.misses = max(tally.hits - hits, 0), max(tally.misses - misses, 0)

    def forget(self, pool: Key) -> None:
        """Forget a pool that is gone."""
        self._tallies.pop(pool, None)

    def _candidate(
        self, pools: list[Key], template: str, tried: set[tuple[str, str]], avoided: set[str]
    ) -> tuple[Key, JsonObject] | None:
        """Return the oldest warm pod with this template, and its pool. Pods on the avoided nodes come last."""
        found = [
            (_node(pod) in avoided, pod["metadata"]["creationTimestamp"], pod["metadata"]["name"], pool, pod)
            for pool in pools
            for pod in self._pods(pool)
            if is_warm(pod, template) and uid_of(pod) not in self._reserved and _version(pod) not in tried
        ]
        oldest = min(found, key=lambda item: item[:3], default=None)
        return None if oldest is None else oldest[3:]

    def _ending_nodes(self, session: VoiceSession) -> set[str]:
        """Return the nodes on which pods of the session end: their warm pods may be next."""
        pods = self._cache.pods_of(session.namespace, session.uid)
        return {_node(pod) for pod in pods if "deletionTimestamp" in pod["metadata"]}

    def _pods(self, pool: Key) -> list[JsonObject]:
        raw = self._cache.get(ResourceKind.POOL, pool)
        return [] if raw is None else self._cache.pods_of(pool.namespace, uid_of(raw))

    async def _take(self, pod: JsonObject, manifest: JsonObject) -> JsonObject | None:
        uid = uid_of(pod)
        self._reserved.add(uid)
        try:
            return await self._patch(pod, manifest)
        finally:
            self._reserved.discard(uid)

    async def _patch(self, pod: JsonObject, manifest: JsonObject) -> JsonObject | None:
        """Write the session's owner, labels and annotations. Return None if the pod has changed or is gone."""
        key, given = key_of(pod), manifest["metadata"]
        body = {
            "metadata": {
                "uid": uid_of(pod),
                "resourceVersion": pod["metadata"]["resourceVersion"],
                "labels": given["labels"],
                "annotations": {**given["annotations"], CLAIMED_AT_ANNOTATION: to_rfc3339(self._clock())},
                "ownerReferences": given["ownerReferences"],
            }
        }
        try:
            claimed = await self._kube.patch(PODS, key.namespace, key.name, body)
        except (ConflictError, NotFoundError):
            await self._refresh(pod)
            return None
        except TerminalError as error:
            log.warning("a warm pod could not be claimed", extra={"pod": str(key), "reason": error.reason})
            return None
        self._cache.upsert(ResourceKind.POD, claimed)
        return claimed

    async def _refresh(self, pod: JsonObject) -> None:
        """Read the pod again, because the watch is behind."""
        key = key_of(pod)
        try:
            self._cache.upsert(ResourceKind.POD, await self._kube.get(PODS, key.namespace, key.name))
        except NotFoundError:
            self._cache.remove(ResourceKind.POD, pod)

    def _count(self, pool: Key, result: ClaimResult) -> None:
        tally = self.tally(pool)
        tally.arrivals.append(self._clock())
        tally.hits += result is ClaimResult.HIT
        tally.misses += result is ClaimResult.MISS
        metrics.POOL_CLAIMS.labels(result.value).inc()
        self._enqueue(pool)


def is_warm(pod: JsonObject, template: str) -> bool:
    """Return whether the pod can be claimed: ready, reachable, and of the template template."""
    meta, status = pod["metadata"], pod.get("status") or {}
    is_current = meta.get("labels", {}).get(TEMPLATE_HASH_LABEL) == template
    is_alive = "deletionTimestamp" not in meta and status.get("phase") == "Running" and bool(status.get("podIP"))
    return is_current and is_alive and is_ready(pod)


def is_ready(pod: JsonObject) -> bool:
    """Return whether the pod's readiness probe passes: its models are loaded, and a process waits for a job."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _node(pod: JsonObject) -> str:
    return str((pod.get("spec") or {}).get("nodeName", ""))


def _version(pod: JsonObject) -> tuple[str, str]:
    return uid_of(pod), str(pod["metadata"].get("resourceVersion", ""))
