"""LiveKit's room service: participants, creation and deletion of rooms, the agent's token."""

import asyncio
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
from voicesession_operator.domain.naming import room_owner
from voicesession_operator.domain.observed import LeaveHint, ListedRoom, Participant, ParticipantKind, RoomOwner

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


class RoomService:
    """LiveKit's API for rooms. `url` may be ws(s) or http(s). Must be created inside a running loop."""

    def __init__(self, url: str, key: str, secret: str, request_seconds: float = REQUEST_SECONDS) -> None:
        self._key = key
        self._secret = secret
        self._request_seconds = request_seconds
        self._api = api.LiveKitAPI(url, key, secret, failover=False)
        self._owners: dict[str, RoomOwner] = {}
        """The owners of the latest list by metadata: parsing them again would take most of the time of a list."""

    async def close(self) -> None:
        await self._api.aclose()

    async def list_rooms(self) -> dict[str, ListedRoom]:
        """Return all rooms by name, also foreign ones. Raise RetryableError or TerminalError.

        A list of named rooms costs LiveKit no less: its store compares every room with the names.
        """
        listed = await self._call("ListRooms", lambda: self._api.room.list_rooms(api.ListRoomsRequest()))
        known, self._owners = self._owners, {}
        rooms = {}
        for room in listed.rooms:
            owner = known.get(room.metadata) or room_owner(room.metadata)
            if owner is not None:
                self._owners[room.metadata] = owner
            rooms[room.name] = ListedRoom(room.sid, room.num_participants, owner)
        return rooms

    async def list_participants(self, name: str) -> tuple[Participant, ...]:
        """Return the room's participants without those that are leaving.

        Raise NotFoundError, RetryableError or TerminalError. For a missing room, LiveKit answers with an error after
        3 s, or at once with nobody, according to `enable_psrpc_for_get_list_participants`.
        """
        request = api.ListParticipantsRequest(room=name)
        listed = await self._call("ListParticipants", lambda: self._api.room.list_participants(request))
        return tuple(to_participant(info) for info in listed.participants if info.state != _DISCONNECTED)

    async def create_room(self, name: str, metadata: str, max_participants: int) -> ListedRoom:
        """Return the created room, or the existing one unchanged. Raise RetryableError or TerminalError."""
        request = api.CreateRoomRequest(
            name=name,
            metadata=metadata,
            max_participants=max_participants,
            empty_timeout=ROOM_TIMEOUT_SECONDS,
            departure_timeout=ROOM_TIMEOUT_SECONDS,
        )
        return _to_listed_room(await self._call("CreateRoom", lambda: self._api.room.create_room(request)))

    async def delete_room(self, name: str) -> None:
        """Delete the room and disconnect its participants; ignore a missing one.

        Raise RetryableError or TerminalError.
        """
        try:
            await self._call("DeleteRoom", lambda: self._api.room.delete_room(api.DeleteRoomRequest(room=name)))
        except NotFoundError:
            return

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


def _to_listed_room(room: models.Room) -> ListedRoom:
    return ListedRoom(room.sid, room.num_participants, room_owner(room.metadata))


def _classify(error: api.ServerError) -> ExternalError:
    if error.code == "not_found":
        return NotFoundError("RoomNotFound", "the room does not exist")
    if error.status in _UNAUTHORIZED_STATUS:
        return RetryableError(UNAUTHORIZED, "LiveKit refuses the API key: check LIVEKIT_API_KEY and its secret")
    if error.status >= _SERVER_ERROR:
        return RetryableError(UNAVAILABLE, f"LiveKit answers {error.code}")
    return TerminalError(REFUSED, f"LiveKit answers {error.code}: {error.message}")
