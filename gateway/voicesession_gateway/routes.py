"""Request handlers: LiveKit's token endpoint and the session API."""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web
from livekit import api
from voicesession_common.api import constants
from voicesession_common.api.conditions import is_condition_true
from voicesession_common.api.reasons import ConditionType

from voicesession_gateway import metrics
from voicesession_gateway.access import AccessControl, cors_headers, read_json
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.event_stream import HEARTBEAT_SECONDS, stream_events
from voicesession_gateway.naming import Caller
from voicesession_gateway.session_record import SessionRecord, to_json
from voicesession_gateway.session_request import ParticipantRequest, parse_session_request, parse_token_request
from voicesession_gateway.session_store import AgentStore, SessionStore
from voicesession_gateway.sessions import SessionService

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


@dataclass(frozen=True)
class TokenIssuer:
    """Signs tokens with LiveKit's API key. A token is valid for joining for `seconds`; participants may stay longer."""

    key: str
    secret: str = field(repr=False)
    seconds: float = 300

    def issue(self, record: SessionRecord, participant: ParticipantRequest) -> str:
        """Return a token for the session's room.

        It does not let participants create rooms or change their own metadata later.
        """
        grants = api.VideoGrants(room_join=True, room=record.room, can_update_own_metadata=False)
        own = {constants.ROLE_ATTRIBUTE: constants.HUMAN_ROLE, constants.SESSION_ATTRIBUTE: record.name}
        token = api.AccessToken(self.key, self.secret).with_identity(participant.identity).with_kind("standard")
        token = token.with_name(participant.name or participant.identity).with_metadata(participant.metadata)
        token = token.with_attributes(participant.attributes | own).with_ttl(timedelta(seconds=self.seconds))
        return token.with_grants(grants).to_jwt()


class ApiHandlers:
    """Handlers for one namespace. `nonce` returns 32 hexadecimal characters, different at each call."""

    def __init__(
        self,
        access: AccessControl,
        service: SessionService,
        agents: AgentStore,
        sessions: SessionStore,
        issuer: TokenIssuer,
        default_agent: str,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
        monotonic: Callable[[], float] = time.monotonic,
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._access, self._service, self._agents, self._sessions = access, service, agents, sessions
        self._issuer, self._default_agent, self._nonce, self._monotonic = issuer, default_agent, nonce, monotonic
        self._heartbeat_seconds = heartbeat_seconds

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
        """Handle LiveKit's standard token request; respond once the agent is in the room."""
        started, caller = self._monotonic(), await self._authorize(request)
        session_request, participant = parse_token_request(
            await read_json(request), caller, self._default_agent, self._nonce(), _idempotency_key(request)
        )
        self._access.count_user_request(session_request.user_label)
        record, source = await self._service.wait_until_ready(session_request)
        metrics.TOKENS.labels(source.value).inc()
        metrics.READY_SECONDS.labels(source.value).observe(self._monotonic() - started)
        log.info("token issued", extra={"session": record.name, "how": source.value, "caller": caller.label})
        answer = {
            "server_url": record.session.status.room_url,
            "participant_token": self._issuer.issue(record, participant),
        }
        return web.json_response(answer, status=201, headers={NAME_HEADER: record.name, **NO_STORE})

    async def _create(self, request: web.Request) -> web.Response:
        caller = await self._authorize(request)
        session_request = parse_session_request(
            await read_json(request), caller, self._nonce(), _idempotency_key(request)
        )
        self._access.count_user_request(session_request.user_label)
        record, source = await self._service.get_or_create(session_request)
        headers = {"Location": f"{SESSIONS}/{record.name}", NAME_HEADER: record.name, **NO_STORE}
        return web.json_response(
            to_json(record), status=201 if source is metrics.SessionSource.CREATED else 200, headers=headers
        )

    async def _list_agents(self, request: web.Request) -> web.Response:
        await self._authorize(request)
        agents = [
            {
                "name": a.name,
                "displayName": a.display_name,
                "ready": is_condition_true(a.conditions, ConditionType.READY),
            }
            for a in self._agents.all()
        ]
        return web.json_response(agents, headers=NO_STORE)

    async def _list(self, request: web.Request) -> web.Response:
        caller = await self._authorize(request)
        return web.json_response(
            [to_json(r) for r in reversed(self._sessions.of_caller(caller.label))], headers=NO_STORE
        )

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(to_json(self._own_session(request, await self._authorize(request))), headers=NO_STORE)

    async def _end(self, request: web.Request) -> web.Response:
        await self._service.end(self._own_session(request, await self._authorize(request)))
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        caller = await self._authorize(request)
        record, origin = self._own_session(request, caller), request.headers.get("Origin", "")
        with self._access.count_stream(caller):
            headers = cors_headers(origin) if self._access.allows_origin(origin) else {}
            return await stream_events(request, record, self._sessions, headers, self._heartbeat_seconds)

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.Response(text=openapi_document(), content_type="application/json")

    async def _authorize(self, request: web.Request) -> Caller:
        """Return the caller. Raises ApiError, also before the first full list from the API server."""
        caller = await self._access.authorize(request)
        if not (self._agents.synced and self._sessions.synced):
            raise ApiError(ErrorCode.UNAVAILABLE, "this replica is starting", retry_after=1.0)
        return caller

    def _own_session(self, request: web.Request, caller: Caller) -> SessionRecord:
        """Return the caller's own session of that name. Raises ApiError; sessions of other callers count as unknown."""
        record = self._sessions.get(request.match_info["name"])
        if record is None or record.caller != caller.label:
            raise ApiError(ErrorCode.UNKNOWN_SESSION, "this caller has no such session")
        return record


@cache
def openapi_document() -> str:
    """Return the OpenAPI document, a file beside this module."""
    return files(__package__).joinpath("openapi.json").read_text()


def _idempotency_key(request: web.Request) -> str:
    key = request.headers.get(IDEMPOTENCY, "")
    if len(key) > IDEMPOTENCY_CHARACTERS:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"{IDEMPOTENCY} has more than {IDEMPOTENCY_CHARACTERS} characters")
    return key
