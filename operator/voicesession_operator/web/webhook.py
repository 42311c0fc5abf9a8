"""LiveKit's webhooks: verified, counted and passed on as room events.

A webhook may be lost, late or repeated, so it only triggers a reconcile. The details of a human's leaving are kept as
a hint.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import jwt
from aiohttp import web
from livekit import api
from voicesession_common.bounds import LruDict

from voicesession_operator import metrics
from voicesession_operator.clients.livekit import (
    PARTICIPANT_JOINED,
    PARTICIPANT_LEFT,
    RoomEvent,
    disconnect_reason,
    to_participant,
)
from voicesession_operator.domain.humans import is_human, leave_reason
from voicesession_operator.domain.observed import LeaveHint

log = logging.getLogger(__name__)

PATH: Final = "/livekit/webhook"
BODY_BYTES: Final = 256 * 1024
"""Longest body that is read.

An event quotes the room's metadata and the participant's metadata and attributes. With every character escaped twice,
`spec.room.metadata` takes up to 115 KiB of it, and LiveKit accepts 64 kB each of the other two.
"""
READ_SECONDS: Final = 5.0
"""Time for a body to arrive. LiveKit sends it with the headers."""
CONCURRENT_READS: Final = 64
"""Bodies that are in memory at a time, 16 MiB at most; further requests wait."""
STALE_SECONDS: Final = 360.0
"""LiveKit signs for 5 minutes, and the receiver tolerates a clock difference of one minute."""
REMEMBERED_EVENTS: Final = 4096
"""Event IDs kept against replays: LiveKit's own retries end after 15 s."""
EVENTS: Final = frozenset({"room_started", "room_finished", PARTICIPANT_JOINED, *PARTICIPANT_LEFT})
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "expired"),
    (jwt.InvalidSignatureError, "signature"),
)


class WebhookEndpoint:
    """HTTP handler of webhooks.

    `accepting` returns whether this replica leads and has listed its sessions; `on_event` returns whether the room
    belongs to a session.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        accepting: Callable[[], bool],
        on_event: Callable[[RoomEvent], bool],
        clock: Callable[[], float],
        remembered_events: int = REMEMBERED_EVENTS,
        read_seconds: float = READ_SECONDS,
        concurrent_reads: int = CONCURRENT_READS,
    ) -> None:
        self._verifier = api.TokenVerifier(key, secret)
        self._receiver = api.WebhookReceiver(self._verifier)
        self._accepting = accepting
        self._on_event = on_event
        self._clock = clock
        self._received: LruDict[str, None] = LruDict(remembered_events)
        self._read_seconds = read_seconds
        self._reads = asyncio.Semaphore(concurrent_reads)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer 200 when LiveKit need not send the event again, and 503 when it should.

        The body is read only after its signature: anybody who reaches the port can send one.
        """
        if not self._accepting():
            return self._answer(503, "unknown", "not_leader")
        token = request.headers.get("Authorization", "")
        # The library raises exceptions of several unrelated types.
        try:
            self._check_token(token)
        except Exception as error:
            return self._answer(401, "unknown", "refused", _reason(error))
        if (request.content_length or 0) > BODY_BYTES:
            return self._answer(413, "unknown", "too_large")
        async with self._reads:
            return await self._read(request, token)

    def _check_token(self, token: str) -> None:
        """Raise an exception unless LiveKit signed a body. The key also signs participants' tokens, without a hash."""
        if not self._verifier.verify(token).sha256:
            raise ValueError("no sha256 in the token")

    async def _read(self, request: web.Request, token: str) -> web.Response:
        try:
            async with asyncio.timeout(self._read_seconds):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._answer(413, "unknown", "too_large")
        except TimeoutError:
            return self._answer(408, "unknown", "too_slow")
        try:
            event = self._receiver.receive(body.decode(), token)
        except Exception as error:
            return self._answer(401, "unknown", "refused", _reason(error))
        return self._take(event)

    def _take(self, event: api.WebhookEvent) -> web.Response:
        name = event.event if event.event in EVENTS else "other"
        if self._clock() - event.created_at > STALE_SECONDS:
            return self._answer(401, name, "refused", "stale")
        if event.id in self._received:
            return self._answer(200, name, "duplicate")
        self._received[event.id] = None
        metrics.WEBHOOK_LAG_SECONDS.observe(max(self._clock() - event.created_at, 0.0))
        if name == "other":
            return self._answer(200, name, "ignored")
        known = self._on_event(RoomEvent(event.room.name, name, event.participant.sid, self._leave(event)))
        return self._answer(200, name, "accepted" if known else "unknown_room")

    def _leave(self, event: api.WebhookEvent) -> LeaveHint | None:
        participant = to_participant(event.participant)
        if event.event not in PARTICIPANT_LEFT or not is_human(participant):
            return None
        reason = leave_reason(disconnect_reason(event.participant))
        return LeaveHint(participant.sid, reason, self._clock(), float(event.created_at))

    def _answer(self, status: int, event: str, outcome: str, reason: str = "") -> web.Response:
        metrics.WEBHOOKS.labels(event, outcome).inc()
        if reason:
            log.warning("webhook refused", extra={"reason": reason})
        return web.json_response({"outcome": outcome} | ({"reason": reason} if reason else {}), status=status)


def _reason(error: Exception) -> str:
    """Return a word from a small fixed set; it is sent to the client and logged."""
    known = next((word for kind, word in _REASONS if isinstance(error, kind)), None)
    if known is not None:
        return known
    return "hash" if "hash" in str(error) or "sha256" in str(error) else "malformed"
