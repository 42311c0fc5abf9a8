"""Reconciles VoicePools: creates and deletes warm pods, and writes the status."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import SESSION_UID_LABEL, TEMPLATE_HASH_LABEL
from voicesession_common.api.timestamps import from_rfc3339
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicepool import AutoscalingMode, PoolStatus, VoicePool
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import PODS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, agent_of, uid_of
from voicesession_operator.controller.pod_claims import PodClaims, Tally, is_ready
from voicesession_operator.controller.pod_watcher import to_pod
from voicesession_operator.controller.ports import EventSink, PodProblems
from voicesession_operator.controller.status_writer import NotWritten, write_status
from voicesession_operator.domain.observed import Config
from voicesession_operator.domain.pod_manifest import build_warm_pod
from voicesession_operator.domain.pool_plan import RETRY_SECONDS, ObservedPool, PoolPlan, PoolPod, plan_pool
from voicesession_operator.domain.pool_size import (
    LONGEST_PAUSE_SECONDS,
    SHORT_SECONDS,
    Recommendations,
    held_pods,
    hold,
    needed_pods,
)

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0
"""Pause between a claim and the refill: in that time the agent of the claimed pod joins its room, which a model that
loads beside it would delay."""
REFILLS: Final = 20
"""Latest refills that the estimate of the refill time uses."""
REFILL_SHARE: Final = 0.9
MOST_REFILL_SECONDS: Final = 600.0
LOOK_SECONDS: Final = 10.0
"""Time between two looks at the arrivals, which time alone makes fewer; a claim causes one at once."""
STATUS_SECONDS: Final = 2.0
"""Shortest time between two writes of a status in which only numbers have changed: a claim must not cost a write."""


@dataclass
class _Memory:
    """Facts about one pool that only this leader needs."""

    written_at: float = 0.0
    refused: str = ""
    """The API server's words for the last refused pod."""
    refused_at: float = 0.0
    since: float = 0.0
    """Start of this leader's care for the pool, Unix seconds."""
    refills: dict[str, float] = field(default_factory=dict)
    """Seconds of the latest refills by UID of the pod; the oldest first."""
    recommendations: Recommendations = ()
    given_at: float = -inf
    """Time when pods were last deleted for sessions without room."""
    paused_since: float | None = None
    """Start of the pause before the next refill; None if no refill waits."""


class PoolReconciler:
    """Reconciles VoicePools. `clock` returns Unix seconds."""

    def __init__(
        self,
        kube: KubernetesApi,
        recorder: EventSink,
        cache: Cache,
        claims: PodClaims,
        pods: PodProblems,
        config: Config,
        clock: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._recorder = recorder
        self._cache = cache
        self._claims = claims
        self._pods = pods
        self._config = config
        self._clock = clock
        self._memories: dict[Key, _Memory] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one pool. Return the seconds until the next run, if any; raise ExternalError."""
        started, outcome = time.monotonic(), "error"
        try:
            raw = self._cache.get(ResourceKind.POOL, key)
            if raw is None:
                self._forget(key)
            requeue_after = None if raw is None else await self._reconcile_pool(key, raw)
            outcome = "ok"
        finally:
            metrics.RECONCILE_SECONDS.labels("pool", outcome).observe(time.monotonic() - started)
        return requeue_after

    def _forget(self, key: Key) -> None:
        self._claims.forget(key)
        self._memories.pop(key, None)

    async def _reconcile_pool(self, key: Key, raw: JsonObject) -> float | None:
        pool, memory = VoicePool.parse(raw), self._memories.setdefault(key, _Memory(since=self._clock()))
        agent = self._cache.get(ResourceKind.AGENT, agent_of(raw))
        manifest = None if agent is None else build_warm_pod(pool, VoiceAgent.parse(agent), self._config)
        observed = await self._observe(pool, memory, manifest)
        planned = plan_pool(pool, observed, self._clock())
        pause = self._pause(key, memory) if planned.create else 0.0
        count = 0 if pause else planned.create
        is_refused = manifest is not None and not await self._create(key, memory, manifest, count)
        memory.given_at = self._clock() if planned.gives_room else memory.given_at
        await asyncio.gather(*(self._delete(pool, pod) for pod in planned.delete))
        wait = await self._store(key, raw, pool, planned, observed)
        is_moving = pool.mode != AutoscalingMode.DISABLED or observed.arrivals_per_minute
        look = LOOK_SECONDS if is_moving else None
        # The refusal of this pass is not in its status yet.
        retry = 0.0 if is_refused else _retry_after(memory, self._clock())
        waits = (planned.requeue_after, wait, look, retry, pause or None)
        return min((seconds for seconds in waits if seconds is not None), default=None)

    async def _observe(self, pool: VoicePool, memory: _Memory, manifest: JsonObject | None) -> ObservedPool:
        raw_pods = self._cache.pods_of(pool.namespace, pool.uid)
        pods = await asyncio.gather(*(self._pool_pod(raw) for raw in raw_pods))
        if memory.refused and self._clock() - memory.refused_at >= RETRY_SECONDS:
            memory.refused = ""
        tally, now = self._claims.tally(Key(pool.namespace, pool.name)), self._clock()
        refill_seconds = _refill_seconds(memory, raw_pods) or pool.status.refill_seconds
        return ObservedPool(
            template_hash="" if manifest is None else manifest["metadata"]["labels"][TEMPLATE_HASH_LABEL],
            pods=tuple(pods),
            needed=_needed(pool, memory, tally, refill_seconds, now),
            claimed=sum(map(_is_claimed, self._cache.pods_from_pool(pool.namespace, pool.name))),
            hits=tally.hits,
            misses=tally.misses,
            arrivals_per_minute=sum(now - SHORT_SECONDS < at <= now for at in tally.arrivals),
            refill_seconds=refill_seconds,
            without_room=self._cache.sessions_without_room(pool.namespace),
            given_at=memory.given_at,
            refused=memory.refused,
        )

    async def _pool_pod(self, raw: JsonObject) -> PoolPod:
        """Convert a pod. One that is running and not ready is asked for its problem, which Kubernetes cannot know."""
        pod, meta, ready = to_pod(raw), raw["metadata"], is_ready(raw)
        problem = pod.problem
        if pod.live and pod.ip and not ready and not problem:
            state = await self._pods.state(pod.ip, pod.uid)
            problem = state.problem if state is not None else ""
        return PoolPod(
            name=pod.name,
            uid=pod.uid,
            version=meta["resourceVersion"],
            template_hash=meta.get("labels", {}).get(TEMPLATE_HASH_LABEL, ""),
            created_at=pod.created_at,
            live=pod.live,
            ready=ready,
            deleting=pod.deleting,
            problem=problem,
            unschedulable=problem.startswith("Unschedulable"),
        )

    def _pause(self, key: Key, memory: _Memory) -> float:
        """Return the seconds until the refill may start; 0 if it may."""
        now, arrivals = self._clock(), self._claims.tally(key).arrivals
        since = memory.paused_since = now if memory.paused_since is None else memory.paused_since
        last = arrivals[-1] if arrivals else -inf
        pause = max(min(last + PAUSE_SECONDS, since + LONGEST_PAUSE_SECONDS) - now, 0.0)
        memory.paused_since = since if pause else None
        return pause

    async def _create(self, key: Key, memory: _Memory, manifest: JsonObject, count: int) -> bool:
        """Create the pods. Return False after a refusal, for example by a quota; then none is created for a while."""
        for _ in range(count):
            try:
                pod = await self._kube.create(PODS, key.namespace, manifest)
            except ExternalError as error:
                memory.refused, memory.refused_at = f"{error.reason}: {error.message}", self._clock()
                log.warning("a warm pod was refused", extra={"pool": str(key), "reason": error.reason})
                return False
            self._cache.upsert(ResourceKind.POD, pod)
        return True

    async def _delete(self, pool: VoicePool, pod: PoolPod) -> None:
        """Delete the pod unless it has changed: a session may have claimed it."""
        try:
            answer = await self._kube.delete(PODS, pool.namespace, pod.name, pod.uid, pod.version)
        except (NotFoundError, ConflictError):
            return
        if answer.get("kind") == "Pod":
            self._cache.upsert(ResourceKind.POD, answer)

    async def _store(
        self, key: Key, raw: JsonObject, pool: VoicePool, planned: PoolPlan, observed: ObservedPool
    ) -> float | None:
        """Write the status if it is due. Return the seconds until it is, if it is not."""
        if planned.status == pool.status:
            return None
        memory, now = self._memories[key], self._clock()
        due_in = memory.written_at + STATUS_SECONDS - now
        if _differ_in_numbers_only(planned.status, pool.status) and 0 < due_in <= STATUS_SECONDS:
            return due_in
        rendered = planned.status.render()
        stored = await write_status(self._kube, self._recorder, self._cache, ResourceKind.POOL, raw, rendered)
        if isinstance(stored, NotWritten):
            return stored.requeue_after
        memory.written_at = now
        self._claims.settle(key, observed.hits, observed.misses)
        for event in planned.events:
            await self._recorder.record(ResourceKind.POOL, stored, event)
        return None


def _needed(pool: VoicePool, memory: _Memory, tally: Tally, refill_seconds: int, now: float) -> int:
    """Return the number of pods that the pool should have, before its limits."""
    if pool.mode == AutoscalingMode.DISABLED:
        return pool.minimum if pool.replicas is None else pool.replicas
    # A new leader has seen no arrivals, so the number of the last one counts for a while.
    known = memory.recommendations or ((now, pool.status.desired),)
    needed = needed_pods(tally.arrivals, refill_seconds, now)
    memory.recommendations = hold(known, needed, now)
    return held_pods(memory.recommendations)


def _retry_after(memory: _Memory, now: float) -> float | None:
    return max(memory.refused_at + RETRY_SECONDS - now, 0.0) if memory.refused else None


def _is_claimed(pod: JsonObject) -> bool:
    meta = pod["metadata"]
    is_over = "deletionTimestamp" in meta or (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")
    return SESSION_UID_LABEL in meta.get("labels", {}) and not is_over


def _differ_in_numbers_only(new: PoolStatus, old: PoolStatus) -> bool:
    """Return whether two different statuses agree in all that is written at once."""
    return (new.conditions, new.desired, new.observed_generation, new.selector) == (
        old.conditions,
        old.desired,
        old.observed_generation,
        old.selector,
    )


def _refill_seconds(memory: _Memory, pods: list[JsonObject]) -> int:
    """Return an estimate of the seconds that a pod needs on its node until it is warm; 0 before the first one.

    Each pod counts once, when it is first ready: a later time of its condition is that of an interruption.
    """
    for pod in pods:
        uid, seconds = uid_of(pod), _warm_up_seconds(pod, memory.since)
        if seconds is not None and uid not in memory.refills:
            memory.refills[uid] = seconds
    memory.refills = dict(list(memory.refills.items())[-REFILLS:])
    ordered = sorted(memory.refills.values())
    return ceil(ordered[ceil(REFILL_SHARE * len(ordered)) - 1]) if ordered else 0


def _warm_up_seconds(pod: JsonObject, since: float) -> float | None:
    """Return the seconds from a node for the pod until it was ready; None if it is not, or is older than `since`."""
    conditions = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or () if c["status"] == "True"}
    times = [from_rfc3339(conditions.get(kind, {}).get("lastTransitionTime")) for kind in ("PodScheduled", "Ready")]
    created_at = from_rfc3339(pod["metadata"].get("creationTimestamp"))
    scheduled_at, ready_at = times
    if scheduled_at is None or ready_at is None or created_at is None or created_at < since - 1.0:
        return None
    return min(max(ready_at - scheduled_at, 1.0), MOST_REFILL_SECONDS)
