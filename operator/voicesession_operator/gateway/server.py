"""The two HTTP servers of a replica: one for people, one for whoever scrapes metrics."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from voicesession_operator.gateway import metrics
from voicesession_operator.gateway.api import Api
from voicesession_operator.gateway.door import Door
from voicesession_operator.gateway.middlewares import cors, counted, errors
from voicesession_operator.gateway.pages import Page
from voicesession_operator.gateway.streams import CLOSING, Closing

BODY_BYTES: Final = 256 * 1024
"""All fields at their longest, and JSON's escapes."""
SHUTDOWN_SECONDS: Final = 20.0
"""Requests that wait for a session have this long; a session is Ready within 6 s as a rule."""


def public(api: Api, page: Page, door: Door, ready: Callable[[], bool], wake: Callable[[], None]) -> web.Application:
    """What people and back ends see. At its end `wake` lets event streams see that they are to end too."""
    app = web.Application(client_max_size=BODY_BYTES, middlewares=[counted, cors(door), errors])
    app[CLOSING] = Closing()

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        is_ready = ready()
        return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)

    async def close_streams(_: web.Application) -> None:
        app[CLOSING].is_set = True
        wake()

    app.on_shutdown.append(close_streams)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    api.add_to(app)
    page.add_to(app)
    return app


def scraped(before: Callable[[], None]) -> web.Application:
    """`/metrics` alone; `before` brings gauges up to date."""

    async def render(_: web.Request) -> web.Response:
        before()
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", render)
    return app


async def serve(app: web.Application, port: int) -> tuple[web.AppRunner, int]:
    """Listen; `port` 0 takes any free one, of which the one for IPv4 is told. Raises OSError if it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=60.0)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner, int(min(runner.addresses, key=len)[1])  # an IPv6 address has more parts
