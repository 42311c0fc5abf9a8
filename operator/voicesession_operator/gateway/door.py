"""What every request passes before it is looked at: origin, caller, rate."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from voicesession_operator.gateway.auth import Authenticator
from voicesession_operator.gateway.callers import Caller
from voicesession_operator.gateway.rates import Buckets, Rate
from voicesession_operator.gateway.refusal import Kind, Refusal

JSON: Final = "application/json"
RETRY_SECONDS: Final = 10.0


class Door:
    """`origins` are those whose pages may call; the gateway's own page may anyway. `monotonic` is in seconds."""

    def __init__(
        self,
        authenticator: Authenticator,
        caller_rate: Rate,
        user_rate: Rate,
        streams_per_caller: int,
        origins: tuple[str, ...],
        monotonic: Callable[[], float],
    ) -> None:
        self._authenticator, self._origins, self._monotonic = authenticator, frozenset(origins), monotonic
        self._callers, self._users = Buckets(caller_rate), Buckets(user_rate)
        self._streams: Counter[str] = Counter()
        self._streams_per_caller = streams_per_caller

    async def enter(self, request: web.Request) -> Caller:
        """Who it is. Raises Refusal: a page of a strange origin, no caller, or one above her rate."""
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

    def _take(self, buckets: Buckets, key: str, whose: str) -> None:
        wait = buckets.take(key, self._monotonic())
        if wait:
            raise Refusal(Kind.RATE_LIMITED, f"too many requests of this {whose}", retry_after=wait)


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
