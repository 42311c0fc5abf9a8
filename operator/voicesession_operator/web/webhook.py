"""LiveKit's webhooks: verified, counted, and turned into one thing only: a session's key in the queue.

A webhook never carries meaning, because it may be lost, late or doubled; what it says of a departure is kept as a hint.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import jwt
from aiohttp import web
from livekit import api

from voicesession_operator import metrics
from voicesession_operator.clients.livekit import disconnect_reason, to_participant
from voicesession_operator.domain.humans import is_human, leave_reason
from voicesession_operator.domain.observed import LeaveHint

log = logging.getLogger(__name__)

PATH: Final = "/livekit/webhook"
BODY_BYTES: Final = 1024 * 1024
"""Far above any event LiveKit sends; a longer body is refused before it is held in memory."""
STALE_SECONDS: Final = 360.0
"""LiveKit signs for 5 minutes and the receiver allows clocks to differ by one."""
REMEMBERED_EVENTS: Final = 4096
"""Event IDs kept against replays: LiveKit's own retries end after 15 s."""
LEAVES: Final = ("participant_left", "participant_connection_aborted")
JOIN: Final = "participant_joined"
EVENTS: Final = frozenset({"room_started", "room_finished", JOIN, *LEAVES})
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "expired"),
    (jwt.InvalidSignatureError, "signature"),
)


@dataclass(frozen=True)
class Notice:
    """That something happened in a room: a hint to look at it, and what the hint was."""

    room: str
    event: str
    """One of EVENTS."""
    participant_sid: str = ""
    leave: LeaveHint | None = None
    """Where a human left: how, and when."""


class Webhook:
    """`accepting` says whether this replica leads and knows its sessions; `notify` says whether the room is known."""

    def __init__(
        self,
        key: str,
        secret: str,
        accepting: Callable[[], bool],
        notify: Callable[[Notice], bool],
        clock: Callable[[], float],
    ) -> None:
        self._receiver = api.WebhookReceiver(api.TokenVerifier(key, secret))
        self._accepting = accepting
        self._notify = notify
        self._clock = clock
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def handle(self, request: web.Request) -> web.Response:
        """200 whenever LiveKit need not send this event again, 503 when it should."""
        if not self._accepting():
            return self._answer(503, "unknown", "not_leader")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._answer(413, "unknown", "too_large")
        # The library raises exceptions of several unrelated types.
        try:
            event = self._receiver.receive(body.decode(), request.headers.get("Authorization", ""))
        except Exception as error:
            return self._answer(401, "unknown", "refused", _reason(error))
        return self._take(event)

    def _take(self, event: api.WebhookEvent) -> web.Response:
        name = event.event if event.event in EVENTS else "other"
        if self._clock() - event.created_at > STALE_SECONDS:
            return self._answer(401, name, "refused", "stale")
        if event.id in self._seen:
            return self._answer(200, name, "duplicate")
        self._remember(event.id)
        metrics.WEBHOOK_LAG_SECONDS.observe(max(self._clock() - event.created_at, 0.0))
        if name == "other":
            return self._answer(200, name, "ignored")
        known = self._notify(Notice(event.room.name, name, event.participant.sid, _departure(event)))
        return self._answer(200, name, "accepted" if known else "unknown_room")

    def _remember(self, event_id: str) -> None:
        self._seen[event_id] = None
        while len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)

    def _answer(self, status: int, event: str, outcome: str, reason: str = "") -> web.Response:
        metrics.WEBHOOKS.labels(event, outcome).inc()
        if reason:
            log.warning("webhook refused", extra={"reason": reason})
        return web.json_response({"outcome": outcome} | ({"reason": reason} if reason else {}), status=status)


def _departure(event: api.WebhookEvent) -> LeaveHint | None:
    participant = to_participant(event.participant)
    if event.event not in LEAVES or not is_human(participant):
        return None
    reason = leave_reason(disconnect_reason(event.participant))
    return LeaveHint(participant.identity, reason, float(event.created_at))


def _reason(error: Exception) -> str:
    """One word out of a small set: it goes to the sender and into the log."""
    known = next((word for kind, word in _REASONS if isinstance(error, kind)), None)
    if known is not None:
        return known
    return "hash" if "hash" in str(error) or "sha256" in str(error) else "malformed"
