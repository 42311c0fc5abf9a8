"""What every request passes before it is looked at: host, origin, caller, rate."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from voicesession_common.rate_limit import Rate, TokenBuckets

from voicesession_gateway.auth import Authenticator
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.naming import Caller

PREFLIGHT_SECONDS: Final = 600


EXPOSED: Final = "Voicesession-Name, Retry-After, Location"


HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"


METHODS: Final = "GET, POST, DELETE"


JSON: Final = "application/json"
RETRY_SECONDS: Final = 10.0
LOCALHOST: Final = "localhost"


class Door:
    """`origins` are those whose pages may call; the gateway's own page may anyway. `monotonic` is in seconds.

    `hosts` are the names by which it may be called, besides localhost and IP addresses; None is any. Where nobody needs
    a key, a page could otherwise have its own name lead to the gateway, and would pass for the gateway's own.
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

    async def enter(self, request: web.Request) -> Caller:
        """Who it is. Raises Refusal: a strange host or origin, no caller, or one above her rate."""
        if not self._is_ours(request.headers.get("Host", "")):
            message = (
                "without authentication this gateway is called by an IP address, localhost or a name that it knows"
            )
            raise Refusal(Kind.HOST_NOT_ALLOWED, message)
        origin = request.headers.get("Origin", "")
        if origin and not self.allows(origin) and urlsplit(origin).netloc != request.host:
            raise Refusal(Kind.ORIGIN_NOT_ALLOWED, "pages of this origin may not call here")
        caller = await self._authenticator.caller(request.headers.get("Authorization", ""))
        self._take(self._callers, caller.label, "caller")
        return caller

    def allows(self, origin: str) -> bool:
        """Whether CORS lets pages of that origin in."""
        return origin in self._origins

    def take_for_user(self, user_label: str) -> None:
        """Count one session or token for a user; nothing is counted without one. Raises Refusal."""
        if user_label:
            self._take(self._users, user_label, "user")

    @contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """While the block runs the caller has one more event stream open. Raises Refusal."""
        limit = self._streams_per_caller
        if limit and self._streams[caller.label] >= limit:
            message = f"this caller follows {limit} sessions, and no more are allowed at once"
            raise Refusal(Kind.TOO_MANY_STREAMS, message, retry_after=RETRY_SECONDS)
        self._streams[caller.label] += 1
        try:
            yield
        finally:
            self._streams[caller.label] -= 1
            if not self._streams[caller.label]:
                del self._streams[caller.label]

    def _is_ours(self, host: str) -> bool:
        if self._hosts is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name == LOCALHOST or name in self._hosts or _is_address(name)

    def _take(self, buckets: TokenBuckets, key: str, whose: str) -> None:
        wait = buckets.take(key, self._monotonic())
        if wait:
            raise Refusal(Kind.RATE_LIMITED, f"too many requests of this {whose}", retry_after=wait)


def _is_address(name: str) -> bool:
    """No name server has a say in where one leads."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def body(request: web.Request) -> object:
    """The JSON of a request. Raises Refusal.

    Other types are refused because a page of any origin may send them without asking (CORS calls that simple).
    """
    if request.content_type != JSON:
        raise Refusal(Kind.NOT_JSON, f"send Content-Type: {JSON}")
    try:
        return await request.json()
    except ValueError:
        raise Refusal(Kind.INVALID_REQUEST, "the body is no JSON") from None


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
