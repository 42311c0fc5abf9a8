"""The two HTTP servers of a replica: one for people, one for whoever scrapes metrics."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from voicesession_gateway import metrics
from voicesession_gateway.access import Door, allowance
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.event_stream import CLOSING, Closing
from voicesession_gateway.page import Page
from voicesession_gateway.routes import Api

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

STREAM: Final = "text/event-stream"
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Not counted: a kubelet asks more often than people do, and would hide how many of their requests fail."""
KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
BY_STATUS: Final = {403: Kind.NOT_FOUND, 404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED, 413: Kind.TOO_LARGE}


def refused(refusal: Refusal) -> web.Response:
    """The one shape of every error."""
    metrics.REFUSALS.labels(refusal.kind.value).inc()
    headers = {"Retry-After": str(math.ceil(refusal.retry_after))} if refusal.retry_after else {}
    if refusal.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(refusal.render(), status=refusal.status, headers=headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what is raised into an answer."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refused(refusal)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        kind = BY_STATUS.get(error.status, Kind.INVALID_REQUEST)
        return refused(Refusal(kind, error.reason))
    except ConnectionError:
        raise
    except Exception:
        log.exception("a request failed", extra={"route": _route(request)})
        return refused(Refusal(Kind.INTERNAL, "the gateway failed; its log says at what"))


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts and times every answer, but for probes."""
    began = asyncio.get_running_loop().time()
    response = await handler(request)
    method = request.method if request.method in KNOWN_METHODS else "other"
    route = _route(request)
    if route in PROBES:
        return response
    metrics.REQUESTS.labels(method, route, str(response.status)).inc()
    if response.content_type != STREAM:
        metrics.REQUEST_SECONDS.labels(method, route).observe(asyncio.get_running_loop().time() - began)
    return response


def cors(door: Door) -> Middleware:
    """Lets pages of allowed origins ask and read; for all others browsers keep the door shut."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        allowed = bool(origin) and door.allows(origin)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204 if allowed else 403)
        else:
            response = await handler(request)
        if not response.prepared:
            response.headers.update(allowance(origin) if allowed else {"Vary": "Origin"})
        return response

    return answer


def _route(request: web.Request) -> str:
    """The path as it was registered: a fixed set, whatever people ask for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "other"


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
