"""List and watch: keeps a store equal to the API server. A new list repairs every error."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

from voicesession_common import JsonObject
from voicesession_common.errors import ExternalError
from voicesession_common.kube_client import KubeClient, Resource

from voicesession_gateway import metrics

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts while the API server fails; the last value repeats."""
EMPTY_WATCH_SECONDS: Final = 0.5
"""Pause after a watch without events, so that a proxy that closes watches at once causes no request flood."""
BOOKMARK: Final = "BOOKMARK"
DELETED: Final = "DELETED"


class Store(Protocol):
    """The target of an informer."""

    def put(self, raw: JsonObject) -> None: ...
    def drop(self, raw: JsonObject) -> None: ...
    def replace(self, items: Iterable[JsonObject]) -> None: ...


class StoreInformer:
    """Keeps one store equal to one resource of one namespace."""

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        namespace: str,
        store: Store,
        selector: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kube, self._resource, self._namespace = kube, resource, namespace
        self._store, self._selector, self._sleep = store, selector, sleep

    async def run(self) -> None:
        """Run forever."""
        pauses = self._pauses()
        while True:
            try:
                items, version = await self._kube.list(self._resource, self._namespace, self._selector)
                self._store.replace(items)
                pauses = self._pauses()
                await self._follow(version)
            except ExternalError as error:
                metrics.KUBERNETES_ERRORS.labels(metrics.KubernetesCall.WATCH.value).inc()
                log.warning("watch interrupted", extra={"resource": self._resource.plural, "reason": error.reason})
                await self._sleep(next(pauses))
            except Exception:
                # The gateway would end with this task, for all callers.
                metrics.KUBERNETES_ERRORS.labels(metrics.KubernetesCall.WATCH.value).inc()
                log.exception("watch interrupted", extra={"resource": self._resource.plural})
                await self._sleep(next(pauses))

    async def _follow(self, version: str) -> None:
        """Watch until the API server fails. Each watch ends after a while; the next one continues at its version."""
        while True:
            has_events = False
            async for kind, raw in self._kube.watch(self._resource, self._namespace, version, self._selector):
                has_events, version = True, raw["metadata"]["resourceVersion"]
                if kind == DELETED:
                    self._store.drop(raw)
                elif kind != BOOKMARK:
                    self._store.put(raw)
            if not has_events:
                await self._sleep(EMPTY_WATCH_SECONDS)

    @staticmethod
    def _pauses() -> itertools.chain[float]:
        return itertools.chain(BACKOFF_SECONDS, itertools.repeat(BACKOFF_SECONDS[-1]))
