"""The informer: kopf's watch stores every changed object in the cache and enqueues its key.

Only raw event handlers are registered, so kopf writes nothing into objects and sets no finalizers.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import Collection, Iterator
from typing import Any, Final, cast

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.constants import POD_SELECTOR
from voicesession_common.errors import ExternalError, NotFoundError
from voicesession_common.kube_client import ALL_NAMESPACES, PODS, KubernetesApi, load_credentials

from voicesession_operator.controller.cache import (
    Cache,
    Key,
    ResourceKind,
    is_finished,
    key_of,
    pool_label_of,
    session_key_of,
    uid_of,
    waits_for_room,
)
from voicesession_operator.controller.workqueue import WorkQueue

log = logging.getLogger(__name__)

FINISHED_SECONDS: Final = (2.0, 10.0)
"""Range of the delay of the first look at a finished session, of which only a cleanup or a TTL may be left."""
ERROR_BACKOFFS: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0)
"""Seconds between retries while the API server fails or forbids a request; the last value repeats."""

RESOURCES: Final = (
    (constants.SESSIONS, ResourceKind.SESSION),
    (constants.AGENTS, ResourceKind.AGENT),
    (constants.POOLS, ResourceKind.POOL),
)
IDENTITY: Final = cast(Any, "voicesession-operator")
"""Used by peering only. kopf would otherwise derive it from the user, and a container's user has no name."""


class Informer:
    """Updates the cache and enqueues the affected keys. All methods return whether the cache changed."""

    def __init__(
        self,
        cache: Cache,
        sessions: WorkQueue[Key],
        agents: WorkQueue[Key],
        pools: WorkQueue[Key],
        kube: KubernetesApi,
    ) -> None:
        self._kube, self._pools = kube, pools
        self._cache = cache
        self._sessions = sessions
        self._agents = agents
        self._accepted: set[str] = set()

    def accept_sessions(self, namespace: str) -> None:
        """Accept sessions and pools of this namespace, or of ALL_NAMESPACES, from now on.

        Until then they are ignored, because their pods may not be in the cache yet. A list follows, so none is missed.
        """
        self._accepted.add(namespace)

    def on_update(self, kind: ResourceKind, raw: JsonObject) -> bool:
        """Handle a new or changed object; ignore one that does not match its schema, so that it harms no other."""
        changed = self._upsert(kind, raw)
        if changed:
            self._enqueue(kind, raw)
        return changed

    def on_listed(self, kind: ResourceKind, raw: JsonObject) -> bool:
        """Handle an object of a full list. A new leader looks at starts and deletions first, and at finished ones last.

        It finds thousands of sessions at once, and most of them are as they were.
        """
        changed = self._upsert(kind, raw)
        if changed:
            self._enqueue_listed(kind, raw)
        return changed

    def _upsert(self, kind: ResourceKind, raw: JsonObject) -> bool:
        needs_pods = kind in (ResourceKind.SESSION, ResourceKind.POOL)
        if needs_pods and self._accepted.isdisjoint((ALL_NAMESPACES, key_of(raw).namespace)):
            return False
        try:
            return self._cache.upsert(kind, raw)
        except (KeyError, TypeError, AttributeError, ValueError):
            log.exception("an object is ignored", extra={"kind": kind.value, "key": str(key_of(raw))})
            return False

    async def on_deleted_event(self, kind: ResourceKind, raw: JsonObject) -> bool:
        """Handle a DELETED event of the watch. Without an answer of the API server the object stays until a resync."""
        try:
            return await self.on_missing(kind, raw)
        except ExternalError as error:
            log.warning("a missing pod could not be read", extra={"pod": str(key_of(raw)), "reason": error.reason})
            return False

    async def on_missing(self, kind: ResourceKind, raw: JsonObject) -> bool:
        """Handle an object that the watch or a list does not show any more. Raise ExternalError.

        Pods are selected by label. A pod that only lost its label still runs, so the API server is asked for it.
        """
        if kind is ResourceKind.POD and "deletionTimestamp" not in raw["metadata"]:
            found = await self._find_pod(raw)
            if found is not None:
                return self.on_update(kind, found)
        return self._on_delete(kind, raw)

    async def _find_pod(self, raw: JsonObject) -> JsonObject | None:
        key = key_of(raw)
        try:
            found = await self._kube.get(PODS, key.namespace, key.name)
        except NotFoundError:
            return None
        return found if uid_of(found) == uid_of(raw) else None

    def _on_delete(self, kind: ResourceKind, raw: JsonObject) -> bool:
        changed = self._cache.remove(kind, raw)
        if changed:
            self._enqueue(kind, raw)
        return changed

    def _enqueue_listed(self, kind: ResourceKind, raw: JsonObject) -> None:
        if kind is ResourceKind.SESSION and is_finished(raw):
            seconds = random.uniform(*FINISHED_SECONDS)  # noqa: S311 - spreads load, no security
            self._sessions.add_after(key_of(raw), seconds)
        elif kind is ResourceKind.SESSION and raw.get("status") and "deletionTimestamp" not in raw["metadata"]:
            self._sessions.add_poll(key_of(raw))
        elif kind is ResourceKind.POD:
            owner = session_key_of(raw)
            if owner is not None:
                self._sessions.add_poll(owner)
            self._enqueue_pool_of(raw)
        else:
            self._enqueue(kind, raw)

    def _enqueue_pool_of(self, pod: JsonObject) -> None:
        """Enqueue the pod's pool, or all of its namespace while a session's pod waits for room that they could give."""
        namespace, pool = key_of(pod).namespace, pool_label_of(pod)
        if pool:
            self._pools.add(Key(namespace, pool))
        for key in self._cache.pools_in(namespace) if waits_for_room(pod) else ():
            self._pools.add(key)

    def _enqueue(self, kind: ResourceKind, raw: JsonObject) -> None:
        if kind is ResourceKind.SESSION:
            self._sessions.add(key_of(raw))
        elif kind is ResourceKind.POD:
            owner = session_key_of(raw)
            if owner is not None:
                self._sessions.add(owner)
            self._enqueue_pool_of(raw)
        elif kind is ResourceKind.POOL:
            self._pools.add(key_of(raw))
        else:
            self._agents.add(key_of(raw))
            for pool in self._cache.pools_of(key_of(raw)):
                self._pools.add(pool)
            # A VoiceAgent may have thousands of sessions, and none of their callers waits for its change.
            for session in self._cache.sessions_of(key_of(raw)):
                self._sessions.add_poll(session)


async def watch(
    informer: Informer, kubeconfig: str, namespaces: tuple[str, ...], stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Run kopf until `stop` is set; set `ready` once it is running. Raise the error that ended kopf."""
    tasks = await kopf.spawn_tasks(
        registry=build_registry(informer, kubeconfig),
        settings=build_settings(),
        standalone=True,
        identity=IDENTITY,
        memories=NoMemories(),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
        ready_flag=ready,
    )
    await kopf.run_tasks(tasks, ignored=EveryTask())


class EveryTask(Collection[asyncio.Task[Any]]):
    """All tasks of the loop, now and later.

    At its end kopf cancels each task that is not ignored, also those of the web server, whose clients would then wait
    for an answer in vain.
    """

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(asyncio.all_tasks())

    def __len__(self) -> int:
        return len(asyncio.all_tasks())


def build_registry(informer: Informer, kubeconfig: str) -> kopf.OperatorRegistry:
    """Build a registry with the handlers, separate from kopf's global one."""
    registry = kopf.OperatorRegistry()

    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        found = await load_credentials(kubeconfig)
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=not found.verify,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
            scheme=found.scheme,
            token=found.token,
        )

    kopf.on.login(registry=registry)(log_in)
    for plural, kind in RESOURCES:
        _register(registry, informer, kind, constants.GROUP, constants.VERSION, plural)
    _register(registry, informer, ResourceKind.POD, "", "v1", "pods")
    return registry


class NoMemories(ResourceMemories):
    """Keeps nothing of an object: kopf's memory has 14 KiB of each, and only handlers with a state need it."""

    async def recall(self, raw_body: kopf.RawBody, **parameters: Any) -> ResourceMemory:
        """Return a new memory in any case."""
        return await super().recall(raw_body, **{**parameters, "ephemeral": True})


class NoDifferences(kopf.DiffBaseStorage):
    """Finds no differences: without it, kopf copies each object several times for handlers that do not exist."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return nothing to compare."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """Find nothing to compare with."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


class Backoffs:
    """An endless sequence of pauses in seconds.

    kopf ends with the sequence, and the leader ends with kopf. A namespace may be forbidden for days and must not end
    the watches of the others.
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(ERROR_BACKOFFS, itertools.repeat(ERROR_BACKOFFS[-1]))


def build_settings() -> kopf.OperatorSettings:
    """Configure kopf as a plain watch: no peering, no events of its own, no scanning of the cluster."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDifferences()
    settings.scanning.disabled = True
    settings.watching.label_selectors["pods"] = POD_SELECTOR
    settings.watching.server_timeout = 240
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = Backoffs()
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 1.0
    settings.process.ultimate_exiting_timeout = 45
    return settings


def _register(
    registry: kopf.OperatorRegistry, informer: Informer, kind: ResourceKind, group: str, version: str, plural: str
) -> None:
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        raw = cast(JsonObject, event["object"])
        if event["type"] == "DELETED":
            await informer.on_deleted_event(kind, raw)
        else:
            informer.on_update(kind, raw)

    kopf.on.event(group=group, version=version, plural=plural, registry=registry, id=f"on-{plural}")(on_event)
