"""List and watch: keeps a mirror true for ever. Whatever goes wrong is mended by a new list."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol

from voicesession_common.errors import ExternalError
from voicesession_common.kube_client import KubeClient, Resource

from voicesession_gateway import metrics

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Between tries while the API server errs; the last one for as long as it does."""
SILENT_SECONDS: Final = 0.5
"""After a watch that ended without a word: one that something in between cuts at once must not become a flood."""
BOOKMARK: Final = "BOOKMARK"
DELETED: Final = "DELETED"


class Mirror(Protocol):
    def put(self, raw: dict[str, Any]) -> None: ...
    def drop(self, raw: dict[str, Any]) -> None: ...
    def replace(self, items: Iterable[dict[str, Any]]) -> None: ...


class Watch:
    """One resource of one namespace, into one mirror."""

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        namespace: str,
        mirror: Mirror,
        selector: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kube, self._resource, self._namespace = kube, resource, namespace
        self._mirror, self._selector, self._sleep = mirror, selector, sleep

    async def run(self) -> None:
        """Never returns."""
        pauses = self._pauses()
        while True:
            try:
                items, version = await self._kube.list(self._resource, self._namespace, self._selector)
                self._mirror.replace(items)
                pauses = self._pauses()
                await self._follow(version)
            except ExternalError as error:
                metrics.KUBERNETES_ERRORS.labels(metrics.Call.WATCH.value).inc()
                log.warning("watch interrupted", extra={"resource": self._resource.plural, "reason": error.reason})
                await self._sleep(next(pauses))

    async def _follow(self, version: str) -> None:
        """Until the API server errs: it ends each watch after a while, and the next goes on where that one was."""
        while True:
            heard = False
            async for kind, raw in self._kube.watch(self._resource, self._namespace, version, self._selector):
                heard, version = True, raw["metadata"]["resourceVersion"]
                if kind == DELETED:
                    self._mirror.drop(raw)
                elif kind != BOOKMARK:
                    self._mirror.put(raw)
            if not heard:
                await self._sleep(SILENT_SECONDS)

    @staticmethod
    def _pauses() -> itertools.chain[float]:
        return itertools.chain(BACKOFF_SECONDS, itertools.repeat(BACKOFF_SECONDS[-1]))
