"""LiveKit's room service: participants, creation and deletion of rooms, the agent's token."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import aiohttp
from google.protobuf.message import DecodeError
from livekit import api
from livekit.protocol import models
from voicesession_common.api.constants import EPOCH_ATTRIBUTE, ROLE_ATTRIBUTE
from voicesession_common.errors import ExternalError, NotFoundError, RetryableError, TerminalError

from voicesession_operator import metrics
from voicesession_operator.domain.observed import LeaveHint, Participant, ParticipantKind, Room, RoomUnknown

T = TypeVar("T")

REQUEST_SECONDS: Final = 3.0
"""Timeout of one request.

A running server answers in milliseconds; refusing to list the participants of a deleted room takes it 3 s. The limit
is applied here because livekit-api 1.2.2 passes a timeout of None, which disables aiohttp's timeout.
"""
ROOM_TIMEOUT_SECONDS: Final = 604_800
"""One week, for both of LiveKit's room timeouts: only the operator deletes rooms. 0 selects short defaults."""
PARTICIPANT_JOINED: Final = "participant_joined"
PARTICIPANT_LEFT: Final = ("participant_left", "participant_connection_aborted")
"""Names of webhook events."""
UNAVAILABLE: Final = "LiveKitUnavailable"
UNAUTHORIZED: Final = "LiveKitUnauthorized"
REFUSED: Final = "LiveKitRefused"
GARBLED: Final = (DecodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""Errors of the library for an answer that is not LiveKit's, for example the page of a proxy with status 200."""
METADATA_CHARACTERS: Final = 256 * 1024
"""Longest metadata that is parsed. The operator's own has at most about 115 KiB: 16384 characters, escaped twice."""
_UNAUTHORIZED_STATUS: Final = (401, 403)
_SERVER_ERROR: Final = 500
_DISCONNECTED: Final = models.ParticipantInfo.State.DISCONNECTED
"""State of a participant that has left and is about to be removed from the list."""


@dataclass(frozen=True)
class RoomEvent:
    """A webhook event of a room."""

    room: str
    event: str
    """LiveKit's name of the event."""
    participant_sid: str = ""
    leave: LeaveHint | None = None
    """The leave of a human, or the end of their attempt to connect."""


@dataclass(frozen=True)
class OwnedRoom:
    """A room that this installation created, according to the room's metadata."""

    name: str
    namespace: str
    session: str


class RoomService:
    """LiveKit's API for rooms. `url` may be ws(s) or http(s). Must be created inside a running loop."""

    def __init__(self, url: str, key: str, secret: str, request_seconds: float = REQUEST_SECONDS) -> None:
        self._key = key
        self._secret = secret
        self._request_seconds = request_seconds
        self._api = api.LiveKitAPI(url, key, secret, failover=False)

    async def close(self) -> None:
        await self._api.aclose()

    async def observe(self, name: str) -> Room | RoomUnknown | None:
        """Return the room with its participants; None if it does not exist, Unknown if LiveKit cannot answer."""
        try:
            return await self._observe(name)
        except NotFoundError:
            return None
        except ExternalError as error:
            return RoomUnknown(error.reason, error.message)

    async def _observe(self, name: str) -> Room | None:
        # Check the list first: listing the participants of a missing room takes 3 s and ends with a 503.
        rooms = await self._call("ListRooms", lambda: self._api.room.list_rooms(api.ListRoomsRequest(names=[name])))
        if not rooms.rooms:
            return None
        listed = await self._call(
            "ListParticipants", lambda: self._api.room.list_participants(api.ListParticipantsRequest(room=name))
        )
        participants = (to_participant(info) for info in listed.participants if info.state != _DISCONNECTED)
        return Room(rooms.rooms[0].sid, tuple(participants))

    async def create_room(self, name: str, metadata: str, max_participants: int) -> None:
        """Create the room; an existing one is left unchanged. Raise RetryableError or TerminalError."""
        request = api.CreateRoomRequest(
            name=name,
            metadata=metadata,
            max_participants=max_participants,
            empty_timeout=ROOM_TIMEOUT_SECONDS,
            departure_timeout=ROOM_TIMEOUT_SECONDS,
        )
        await self._call("CreateRoom", lambda: self._api.room.create_room(request))

    async def delete_room(self, name: str) -> None:
        """Delete the room and disconnect its participants; ignore a missing one.

        Raise RetryableError or TerminalError.
        """
        try:
            await self._call("DeleteRoom", lambda: self._api.room.delete_room(api.DeleteRoomRequest(room=name)))
        except NotFoundError:
            return

    async def list_owned_rooms(self, installation_id: str) -> list[OwnedRoom]:
        """Return every room that this installation created. Raise RetryableError or TerminalError."""
        listed = await self._call("ListRooms", lambda: self._api.room.list_rooms(api.ListRoomsRequest()))
        owned = (_owned(room, installation_id) for room in listed.rooms)
        return [room for room in owned if room is not None]

    def agent_token(self, room: str, identity: str, display_name: str, ttl_seconds: int, epoch: int) -> str:
        """Return a token of kind agent for this room, with attributes for the role of its participant and the epoch.

        The token allows changes of its own attributes: livekit-agents publishes there whether the agent listens,
        thinks or speaks.
        """
        return (
            api.AccessToken(self._key, self._secret)
            .with_identity(identity)
            .with_name(display_name)
            .with_kind("agent")
            .with_attributes({ROLE_ATTRIBUTE: "agent", EPOCH_ATTRIBUTE: str(epoch)})
            .with_grants(api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True))
            .with_ttl(timedelta(seconds=ttl_seconds))
            .to_jwt()
        )

    def admin_token(self, room: str, ttl_seconds: int) -> str:
        """Return a token for LiveKit's API in this room: mute, remove and update participants, metadata, send data.

        It cannot join, and cannot create or delete a room: LiveKit has no grant for the deletion of a single room.
        """
        return (
            api.AccessToken(self._key, self._secret)
            .with_grants(api.VideoGrants(room_admin=True, room=room))
            .with_ttl(timedelta(seconds=ttl_seconds))
            .to_jwt()
        )

    async def _call(self, call: str, send: Callable[[], Awaitable[T]]) -> T:
        started, outcome = time.monotonic(), "ok"
        try:
            async with asyncio.timeout(self._request_seconds):
                return await send()
        except api.ServerError as error:
            found = _classify(error)
            outcome = "not_found" if isinstance(found, NotFoundError) else "error"
            raise found from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome = "unreachable"
            raise RetryableError(UNAVAILABLE, "LiveKit does not answer") from error
        except GARBLED as error:
            outcome = "error"
            raise RetryableError(UNAVAILABLE, "LiveKit's answer cannot be read") from error
        finally:
            metrics.LIVEKIT_REQUEST_SECONDS.labels(call, outcome).observe(time.monotonic() - started)


def to_participant(info: models.ParticipantInfo) -> Participant:
    """Convert a participant of LiveKit's API or webhook; kinds that this release does not know become UNKNOWN."""
    return Participant(
        identity=info.identity,
        sid=info.sid,
        kind=_kind(info.kind),
        active=info.state == models.ParticipantInfo.State.ACTIVE,
        hidden=info.permission.hidden,
        recorder=info.permission.recorder,
        agent=info.permission.agent,
        can_update_metadata=info.permission.can_update_metadata,
        attributes=dict(info.attributes),
        joined_at=info.joined_at_ms / 1000 or float(info.joined_at),
    )


def disconnect_reason(info: models.ParticipantInfo) -> str:
    """Return LiveKit's name of the disconnect reason; `UNKNOWN_REASON` for numbers that this release does not know."""
    try:
        return models.DisconnectReason.Name(info.disconnect_reason)
    except ValueError:
        return models.DisconnectReason.Name(models.DisconnectReason.UNKNOWN_REASON)


def _kind(number: int) -> ParticipantKind:
    try:
        return ParticipantKind(models.ParticipantInfo.Kind.Name(number))
    except ValueError:
        return ParticipantKind.UNKNOWN


def _owned(room: models.Room, installation_id: str) -> OwnedRoom | None:
    """Return the owner from the room's metadata; None for foreign rooms, whose metadata may be anything."""
    if installation_id not in room.metadata or len(room.metadata) > METADATA_CHARACTERS:
        return None
    try:
        owner = json.loads(room.metadata)["voicesession"]
        installation, namespace, name = (owner[key] for key in ("installation", "namespace", "name"))
    except GARBLED:
        return None
    if installation != installation_id or not isinstance(namespace, str) or not isinstance(name, str):
        return None
    return OwnedRoom(room.name, namespace, name)


def _classify(error: api.ServerError) -> ExternalError:
    if error.code == "not_found":
        return NotFoundError("RoomNotFound", "the room does not exist")
    if error.status in _UNAUTHORIZED_STATUS:
        return RetryableError(UNAUTHORIZED, "LiveKit refuses the API key: check LIVEKIT_API_KEY and its secret")
    if error.status >= _SERVER_ERROR:
        return RetryableError(UNAVAILABLE, f"LiveKit answers {error.code}")
    return TerminalError(REFUSED, f"LiveKit answers {error.code}: {error.message}")
