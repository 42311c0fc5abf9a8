"""The HTTP server of every replica: health, metrics and LiveKit's webhooks, which a label directs to the leader."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from voicesession_common.api.constants import LEADER_LABEL
from voicesession_common.errors import ExternalError, NotFoundError
from voicesession_common.kube_client import PODS, KubernetesApi

from voicesession_operator import metrics
from voicesession_operator.web import webhook

log = logging.getLogger(__name__)

LAG_TICK_SECONDS: Final = 0.5
LAG_LIMIT_SECONDS: Final = 5.0
"""An event loop with this delay cannot renew its lease either."""
RESYNC_LIMIT_SECONDS: Final = 600.0
"""Ten consecutive full lists have failed."""
WEB_STOP_SECONDS: Final = 5.0
"""Time for running requests at the end of the process."""
LABEL_CHECK_SECONDS: Final = 10.0
"""Longest time that a label changed by somebody else, or by a late request of the last leader, misdirects webhooks."""
LABEL_RETRY_SECONDS: Final = 1.0
RELEASE_LABEL: Final = "app.kubernetes.io/instance"


@dataclass(frozen=True)
class Probes:
    """Inputs of the health checks; each is called when a probe arrives."""

    ready: Callable[[], bool]
    queues_healthy: Callable[[], bool]
    resync_age: Callable[[], float]
    """Seconds since the last full list; 0 on a replica that is not the leader."""
    before_metrics: Callable[[], None]
    """Updates the gauges."""


class WebServer:
    """Serves on `port`; 0 selects any free port."""

    def __init__(self, port: int, probes: Probes, endpoint: webhook.WebhookEndpoint) -> None:
        self._port = port
        self._probes = probes
        self._lag = 0.0
        self.app = app = web.Application(client_max_size=webhook.BODY_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post(webhook.PATH, endpoint.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=WEB_STOP_SECONDS, keepalive_timeout=60.0)

    async def start(self) -> int:
        """Listen. Return the IPv4 port; raise OSError if it is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, port=self._port)
        await site.start()
        return int(min(self._runner.addresses, key=len)[1])  # an IPv6 address has more parts

    async def stop(self) -> None:
        """Refuse new connections and wait for running requests, WEB_STOP_SECONDS at most."""
        await self._runner.cleanup()

    async def watch_lag(self) -> None:
        """Measure the delay of the event loop forever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_TICK_SECONDS
            await asyncio.sleep(LAG_TICK_SECONDS)
            self._lag = max(loop.time() - due, 0.0)
            metrics.LOOP_LAG_SECONDS.set(self._lag)

    async def _healthz(self, _: web.Request) -> web.Response:
        checks = {
            "loop": self._lag < LAG_LIMIT_SECONDS,
            "queues": self._probes.queues_healthy(),
            "resync": self._probes.resync_age() < RESYNC_LIMIT_SECONDS,
        }
        return web.json_response(checks, status=200 if all(checks.values()) else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._probes.ready()
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        self._probes.before_metrics()
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def keep_leader_label(kube: KubernetesApi, namespace: str, release: str, pod: str) -> None:
    """Keep the leader's label on `pod` only, forever, also after another client changes it.

    Without the label no webhooks are delivered, and polling replaces them.
    """
    while True:
        seconds = LABEL_CHECK_SECONDS
        try:
            await label_leader(kube, namespace, release, pod)
        except ExternalError as error:
            log.warning("the leader label could not be set", extra={"reason": error.reason})
            seconds = LABEL_RETRY_SECONDS
        except Exception:
            log.exception("the leader label could not be set")
            seconds = LABEL_RETRY_SECONDS
        await asyncio.sleep(seconds)


async def remove_own_label(kube: KubernetesApi, namespace: str, pod: str) -> None:
    """Remove the leader's label from this replica's pod, if the API server answers in time."""
    try:
        async with asyncio.timeout(LABEL_RETRY_SECONDS):
            await _set_label(kube, namespace, pod, None)
    except (ExternalError, TimeoutError):
        log.info("the leader label stays until the next leader removes it", extra={"pod": pod})


async def label_leader(kube: KubernetesApi, namespace: str, release: str, pod: str) -> None:
    """Label `pod` as the leader and remove the label from every other pod of the release. Raise ExternalError."""
    labeled, _ = await kube.list(PODS, namespace, f"{RELEASE_LABEL}={release},{LEADER_LABEL}=true")
    names = {other["metadata"]["name"] for other in labeled}
    if pod not in names:
        await _set_label(kube, namespace, pod, "true")
    for other in sorted(names - {pod}):
        await _set_label(kube, namespace, other, None)


async def _set_label(kube: KubernetesApi, namespace: str, pod: str, value: str | None) -> None:
    try:
        await kube.patch(PODS, namespace, pod, {"metadata": {"labels": {LEADER_LABEL: value}}})
    except NotFoundError:
        return
