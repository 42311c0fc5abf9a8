"""Around every handler: errors become one kind of JSON, pages of allowed origins may read, all of it is counted."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from voicesession_operator.gateway import metrics
from voicesession_operator.gateway.door import Door
from voicesession_operator.gateway.refusal import Kind, Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

METHODS: Final = "GET, POST, DELETE"
HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
EXPOSED: Final = "Voicesession-Name, Retry-After, Location"
PREFLIGHT_SECONDS: Final = 600
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


def allowance(origin: str) -> dict[str, str]:
    """The headers that let a page of that origin read an answer."""
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Expose-Headers": EXPOSED,
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }


def _route(request: web.Request) -> str:
    """The path as it was registered: a fixed set, whatever people ask for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "other"
