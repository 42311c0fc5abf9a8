"""The handlers: LiveKit's token endpoint and the session API."""

import logging
import secrets
import time
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web
from voicesession_common.api.conditions import is_condition_true
from voicesession_common.api.reasons import ConditionType

from voicesession_gateway import metrics
from voicesession_gateway.access import Door, allowance, body
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.event_stream import follow
from voicesession_gateway.naming import Caller
from voicesession_gateway.session_record import Record, view
from voicesession_gateway.session_request import session_wish, token_wish
from voicesession_gateway.session_store import Agents, Sessions
from voicesession_gateway.sessions import Desk
from voicesession_gateway.tokens import Mint

log = logging.getLogger(__name__)

TOKEN: Final = "/token"  # noqa: S105 - a path
AGENTS: Final = "/api/v1/agents"
SESSIONS: Final = "/api/v1/sessions"
SESSION: Final = SESSIONS + "/{name}"
EVENTS: Final = SESSION + "/events"
OPENAPI: Final = "/api/v1/openapi.json"
IDEMPOTENCY: Final = "Idempotency-Key"
IDEMPOTENCY_CHARACTERS: Final = 256
NAME_HEADER: Final = "Voicesession-Name"
NO_STORE: Final = {"Cache-Control": "no-store"}


class Api:
    """All of it for one namespace. `nonce` gives 32 hex characters that nobody has seen before."""

    def __init__(
        self,
        door: Door,
        desk: Desk,
        agents: Agents,
        sessions: Sessions,
        mint: Mint,
        default_agent: str,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._door, self._desk, self._agents, self._sessions = door, desk, agents, sessions
        self._mint, self._default_agent, self._nonce, self._monotonic = mint, default_agent, nonce, monotonic

    def add_to(self, app: web.Application) -> None:
        app.router.add_post(TOKEN, self._token)
        app.router.add_get(AGENTS, self._list_agents)
        app.router.add_get(SESSIONS, self._list)
        app.router.add_post(SESSIONS, self._create)
        app.router.add_get(SESSION, self._get)
        app.router.add_delete(SESSION, self._end)
        app.router.add_get(EVENTS, self._events, allow_head=False)
        app.router.add_get(OPENAPI, self._openapi)

    async def _token(self, request: web.Request) -> web.Response:
        """LiveKit's standard endpoint: the answer comes when the agent is in the room."""
        began, caller = self._monotonic(), await self._enter(request)
        wish, guest = token_wish(
            await body(request), caller, self._default_agent, self._nonce(), _idempotency_key(request)
        )
        self._door.take_for_user(wish.user_label)
        record, how = await self._desk.ready(wish)
        metrics.TOKENS.labels(how.value).inc()
        metrics.WAIT_SECONDS.labels(how.value).observe(self._monotonic() - began)
        log.info("token handed out", extra={"session": record.name, "how": how.value, "caller": caller.label})
        answer = {"server_url": record.session.status.room_url, "participant_token": self._mint.token(record, guest)}
        return web.json_response(answer, status=201, headers={NAME_HEADER: record.name, **NO_STORE})

    async def _create(self, request: web.Request) -> web.Response:
        caller = await self._enter(request)
        wish = session_wish(await body(request), caller, self._nonce(), _idempotency_key(request))
        self._door.take_for_user(wish.user_label)
        record, how = await self._desk.obtain(wish)
        place = {"Location": f"{SESSIONS}/{record.name}", NAME_HEADER: record.name, **NO_STORE}
        return web.json_response(view(record), status=201 if how is metrics.How.CREATED else 200, headers=place)

    async def _list_agents(self, request: web.Request) -> web.Response:
        await self._enter(request)
        told = [
            {
                "name": a.name,
                "displayName": a.display_name,
                "ready": is_condition_true(a.conditions, ConditionType.READY),
            }
            for a in self._agents.all()
        ]
        return web.json_response(told, headers=NO_STORE)

    async def _list(self, request: web.Request) -> web.Response:
        caller = await self._enter(request)
        return web.json_response([view(r) for r in reversed(self._sessions.of(caller.label))], headers=NO_STORE)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(view(self._own(request, await self._enter(request))), headers=NO_STORE)

    async def _end(self, request: web.Request) -> web.Response:
        await self._desk.end(self._own(request, await self._enter(request)))
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        caller = await self._enter(request)
        record, origin = self._own(request, caller), request.headers.get("Origin", "")
        with self._door.stream(caller):
            return await follow(request, record, self._sessions, allowance(origin) if self._door.allows(origin) else {})

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.Response(text=document(), content_type="application/json")

    async def _enter(self, request: web.Request) -> Caller:
        """Raises Refusal, also before the cluster has been seen for the first time."""
        caller = await self._door.enter(request)
        if not (self._agents.synced and self._sessions.synced):
            raise Refusal(Kind.UNAVAILABLE, "this replica is just starting", retry_after=1.0)
        return caller

    def _own(self, request: web.Request, caller: Caller) -> Record:
        """The caller's own session of that name. Raises Refusal: those of others are as good as none."""
        found = self._sessions.get(request.match_info["name"])
        if found is None or found.caller != caller.label:
            raise Refusal(Kind.UNKNOWN_SESSION, "this caller has no such session")
        return found


@cache
def document() -> str:
    """The OpenAPI document, a file beside this one."""
    return files(__package__).joinpath("openapi.json").read_text()


def _idempotency_key(request: web.Request) -> str:
    found = request.headers.get(IDEMPOTENCY, "")
    if len(found) > IDEMPOTENCY_CHARACTERS:
        raise Refusal(Kind.INVALID_REQUEST, f"{IDEMPOTENCY} must have at most {IDEMPOTENCY_CHARACTERS} characters")
    return found
