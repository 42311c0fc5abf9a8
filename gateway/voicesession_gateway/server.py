"""HTTP servers of a replica: the public one, and the one for metrics."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from voicesession_gateway import metrics
from voicesession_gateway.access import AccessControl, cors_headers
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.event_stream import CLOSING, Closing
from voicesession_gateway.page import Page
from voicesession_gateway.routes import ApiHandlers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

STREAM: Final = "text/event-stream"
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Routes that metrics leave out: frequent probes would hide the error rate of other requests."""
KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
BY_STATUS: Final = {
    403: ErrorCode.NOT_FOUND,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.TOO_LARGE,
}


def error_response(error: ApiError) -> web.Response:
    """Return the JSON response of an error; every error has the same shape."""
    metrics.ERRORS.labels(error.code.value).inc()
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else {}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(error.to_json(), status=error.status, headers=headers)


@web.middleware
async def map_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert exceptions into responses."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        code = BY_STATUS.get(error.status, ErrorCode.INVALID_REQUEST)
        return error_response(ApiError(code, error.reason))
    except ConnectionError:
        raise
    except Exception:
        log.exception("request failed", extra={"route": _route(request)})
        return error_response(ApiError(ErrorCode.INTERNAL, "internal error; see the gateway's log"))


@web.middleware
async def count_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and time every response except those of probes."""
    started = asyncio.get_running_loop().time()
    response = await handler(request)
    method = request.method if request.method in KNOWN_METHODS else "other"
    route = _route(request)
    if route in PROBES:
        return response
    metrics.REQUESTS.labels(method, route, str(response.status)).inc()
    if response.content_type != STREAM:
        metrics.REQUEST_SECONDS.labels(method, route).observe(asyncio.get_running_loop().time() - started)
    return response


def cors(access: AccessControl) -> Middleware:
    """Return middleware that sets CORS headers for pages of allowed origins."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        allowed = bool(origin) and access.allows_origin(origin)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204 if allowed else 403)
        else:
            response = await handler(request)
        if not response.prepared:
            response.headers.update(cors_headers(origin) if allowed else {"Vary": "Origin"})
        return response

    return answer


def _route(request: web.Request) -> str:
    """Return the registered path, one of a fixed set, so that labels stay bounded."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "other"


BODY_BYTES: Final = 256 * 1024
"""Every field at its maximum length, with JSON escapes."""
SHUTDOWN_SECONDS: Final = 20.0
"""Time for pending requests at shutdown; a session is usually Ready within 6 s."""


def public_app(
    api: ApiHandlers, page: Page, access: AccessControl, ready: Callable[[], bool], wake: Callable[[], None]
) -> web.Application:
    """Return the public application. At shutdown, `wake` makes the event streams check the closing flag."""
    app = web.Application(client_max_size=BODY_BYTES, middlewares=[count_requests, cors(access), map_errors])
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


def metrics_app(before_scrape: Callable[[], None]) -> web.Application:
    """Return the application for `/metrics`; `before_scrape` updates gauges."""

    async def render(_: web.Request) -> web.Response:
        before_scrape()
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", render)
    return app


async def serve(app: web.Application, port: int) -> tuple[web.AppRunner, int]:
    """Listen on `port` and return the runner and the IPv4 port; 0 selects a free one. Raises OSError."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=60.0)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner, int(min(runner.addresses, key=len)[1])  # an IPv6 address has more parts
