"""The HTTP server that every replica runs: health, metrics and LiveKit's webhooks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from voicesession_operator import metrics
from voicesession_operator.web import webhook

LAG_TICK_SECONDS: Final = 0.5
LAG_LIMIT_SECONDS: Final = 5.0
"""A loop this late cannot keep its lease either."""
RESYNC_LIMIT_SECONDS: Final = 600.0
"""Ten full lists in a row have failed."""


@dataclass(frozen=True)
class Probes:
    """What health is judged by; each is asked when a probe comes in."""

    ready: Callable[[], bool]
    queues_healthy: Callable[[], bool]
    resync_age: Callable[[], float]
    """Seconds since the last full list; 0 on a replica that does not lead."""
    before_metrics: Callable[[], None]
    """Brings gauges up to date."""


class WebServer:
    """`port` 0 takes any free one."""

    def __init__(self, port: int, probes: Probes, receiver: webhook.Webhook) -> None:
        self._wanted_port = port
        self._probes = probes
        self._lag = 0.0
        app = web.Application(client_max_size=webhook.BODY_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post(webhook.PATH, receiver.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0, keepalive_timeout=60.0)

    async def start(self) -> int:
        """Listen; returns the port. Raises OSError if it is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, port=self._wanted_port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Take no new connections and let running requests end, for 5 s at most."""
        await self._runner.cleanup()

    async def watch_lag(self) -> None:
        """Measure for ever how late the event loop is."""
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
