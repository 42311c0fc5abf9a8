"""Checks that every request passes before its handler runs: host, origin, caller, rate."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from voicesession_common.bounds import Rate, TokenBuckets

from voicesession_gateway.auth import Authenticator
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.naming import Caller

PREFLIGHT_SECONDS: Final = 600
EXPOSED_HEADERS: Final = "Voicesession-Name, Retry-After, Location"
ALLOWED_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
ALLOWED_METHODS: Final = "GET, POST, DELETE"
JSON: Final = "application/json"
RETRY_SECONDS: Final = 10.0
LOCALHOST: Final = "localhost"


class AccessControl:
    """Host, origin, authentication and rate checks. `monotonic` returns seconds.

    `origins` are the origins of foreign pages that may call; the gateway's own page always may. `hosts` are the
    accepted host names besides localhost and IP addresses; None accepts every name. Without authentication the host
    check stops DNS rebinding: a foreign page could otherwise resolve its own name to the gateway and count as the
    gateway's own page.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        caller_rate: Rate,
        user_rate: Rate,
        streams_per_caller: int,
        origins: tuple[str, ...],
        monotonic: Callable[[], float],
        hosts: tuple[str, ...] | None = None,
    ) -> None:
        self._authenticator, self._origins, self._monotonic = authenticator, frozenset(origins), monotonic
        self._hosts = None if hosts is None else frozenset(hosts)
        self._callers, self._users = TokenBuckets(caller_rate), TokenBuckets(user_rate)
        self._streams: Counter[str] = Counter()
        self._streams_per_caller = streams_per_caller

    async def authorize(self, request: web.Request) -> Caller:
        """Return the caller. Raises ApiError for a foreign host or origin, a missing caller, or too many requests."""
        if not self._is_known_host(request.headers.get("Host", "")):
            message = "without authentication this gateway accepts only localhost, IP addresses and configured hosts"
            raise ApiError(ErrorCode.HOST_NOT_ALLOWED, message)
        origin = request.headers.get("Origin", "")
        if origin and not self.allows_origin(origin) and urlsplit(origin).netloc != request.host:
            raise ApiError(ErrorCode.ORIGIN_NOT_ALLOWED, "pages of this origin may not call this gateway")
        caller = await self._authenticator.authenticate(request.headers.get("Authorization", ""))
        wait = self._callers.take(caller.label, self._monotonic())
        if wait:
            raise ApiError(ErrorCode.RATE_LIMITED, "too many requests of this caller", retry_after=wait)
        return caller

    def allows_origin(self, origin: str) -> bool:
        """Return True if CORS admits pages of that origin."""
        return origin in self._origins

    def count_user_request(self, user_label: str) -> None:
        """Count one session or token for a user; an empty label counts nothing. Raises ApiError."""
        wait = self._users.take(user_label, self._monotonic()) if user_label else 0.0
        if wait:
            raise ApiError(ErrorCode.RATE_LIMITED, "too many requests of this user", retry_after=wait)

    @contextmanager
    def count_stream(self, caller: Caller) -> Iterator[None]:
        """Count one open event stream of the caller while the block runs. Raises ApiError."""
        limit = self._streams_per_caller
        if limit and self._streams[caller.label] >= limit:
            message = f"this caller has {limit} open event streams, and no more are allowed at once"
            raise ApiError(ErrorCode.TOO_MANY_STREAMS, message, retry_after=RETRY_SECONDS)
        self._streams[caller.label] += 1
        try:
            yield
        finally:
            self._streams[caller.label] -= 1
            if not self._streams[caller.label]:
                del self._streams[caller.label]

    def _is_known_host(self, host: str) -> bool:
        if self._hosts is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name == LOCALHOST or name in self._hosts or _is_ip_address(name)


def _is_ip_address(name: str) -> bool:
    """Return True for an IP address, which DNS cannot redirect."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def read_json(request: web.Request) -> object:
    """Return the parsed JSON body. Raises ApiError.

    Other content types are refused: for some of them CORS lets a page of any origin send requests without preflight.
    """
    if request.content_type != JSON:
        raise ApiError(ErrorCode.NOT_JSON, f"send Content-Type: {JSON}")
    try:
        return await request.json()
    except ValueError:
        raise ApiError(ErrorCode.INVALID_REQUEST, "the body is not valid JSON") from None


def cors_headers(origin: str) -> dict[str, str]:
    """Return the headers that let a page of that origin read a response."""
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": ALLOWED_METHODS,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
