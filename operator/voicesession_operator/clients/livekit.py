"""LiveKit's room service: what is in a room, making and removing rooms, the agent's token."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import aiohttp
from livekit import api
from livekit.protocol import models
from voicesession_common.api.constants import ROLE_ATTRIBUTE
from voicesession_common.errors import ExternalError, NotFoundError, RetryableError, TerminalError

from voicesession_operator import metrics
from voicesession_operator.domain.observed import Participant, ParticipantKind, Room, RoomUnknown

T = TypeVar("T")

REQUEST_SECONDS: Final = 3.0
"""A live server answers in milliseconds; asking for the people of a vanished room takes it 3 s to refuse.

Kept here, since livekit-api 1.2.2 hands every request a timeout of None, which aiohttp takes for none at all.
"""
ROOM_TIMEOUT_SECONDS: Final = 604_800
"""One week, for both of LiveKit's own room timeouts: only the operator ends rooms. 0 would mean its short defaults."""
UNAVAILABLE: Final = "LiveKitUnavailable"
UNAUTHORIZED: Final = "LiveKitUnauthorized"
REFUSED: Final = "LiveKitRefused"
_UNAUTHORIZED_STATUS: Final = (401, 403)
_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class OwnedRoom:
    """A room whose metadata says that this installation made it."""

    name: str
    namespace: str
    session: str
    session_uid: str


class RoomService:
    """LiveKit as the operator uses it. `url` may be ws(s) or http(s). Must be made inside a running loop."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._key = key
        self._secret = secret
        self._api = api.LiveKitAPI(url, key, secret, failover=False)

    async def close(self) -> None:
        await self._api.aclose()

    async def observe(self, name: str) -> Room | RoomUnknown | None:
        """The room and its participants; None if there is no such room, Unknown if LiveKit cannot tell."""
        try:
            return await self._observe(name)
        except NotFoundError:
            return None
        except ExternalError as error:
            return RoomUnknown(error.reason, error.message)

    async def _observe(self, name: str) -> Room | None:
        # The list goes first: the participants of a room that does not exist take 3 s and a 503.
        rooms = await _call("ListRooms", lambda: self._api.room.list_rooms(api.ListRoomsRequest(names=[name])))
        if not rooms.rooms:
            return None
        listed = await _call(
            "ListParticipants", lambda: self._api.room.list_participants(api.ListParticipantsRequest(room=name))
        )
        return Room(rooms.rooms[0].sid, tuple(to_participant(info) for info in listed.participants))

    async def create_room(self, name: str, metadata: str, max_participants: int) -> None:
        """Idempotent: a room that exists stays as it is. Raises RetryableError or TerminalError."""
        request = api.CreateRoomRequest(
            name=name,
            metadata=metadata,
            max_participants=max_participants,
            empty_timeout=ROOM_TIMEOUT_SECONDS,
            departure_timeout=ROOM_TIMEOUT_SECONDS,
        )
        await _call("CreateRoom", lambda: self._api.room.create_room(request))

    async def delete_room(self, name: str) -> None:
        """Everybody in it is put out; no error if it is gone already. Raises RetryableError or TerminalError."""
        try:
            await _call("DeleteRoom", lambda: self._api.room.delete_room(api.DeleteRoomRequest(room=name)))
        except NotFoundError:
            return

    async def list_our_rooms(self, installation_id: str) -> list[OwnedRoom]:
        """Every room that this installation has made. Raises RetryableError or TerminalError."""
        listed = await _call("ListRooms", lambda: self._api.room.list_rooms(api.ListRoomsRequest()))
        owned = (_owned(room, installation_id) for room in listed.rooms)
        return [room for room in owned if room is not None]

    def agent_token(self, room: str, identity: str, display_name: str, ttl_seconds: int) -> str:
        """A token of kind agent that lets its bearer join this one room, marked as the agent for everybody to see.

        It may change its own attributes: livekit-agents tells front ends there whether it listens, thinks or speaks.
        """
        return (
            api.AccessToken(self._key, self._secret)
            .with_identity(identity)
            .with_name(display_name)
            .with_kind("agent")
            .with_attributes({ROLE_ATTRIBUTE: "agent"})
            .with_grants(api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True))
            .with_ttl(timedelta(seconds=ttl_seconds))
            .to_jwt()
        )


def to_participant(info: models.ParticipantInfo) -> Participant:
    """One participant of LiveKit's API or webhook; kinds unknown to this release become UNKNOWN."""
    return Participant(
        identity=info.identity,
        sid=info.sid,
        kind=_kind(info.kind),
        active=info.state == models.ParticipantInfo.State.ACTIVE,
        hidden=info.permission.hidden,
        recorder=info.permission.recorder,
        agent=info.permission.agent,
        attributes=dict(info.attributes),
        joined_at=info.joined_at_ms / 1000 or float(info.joined_at),
    )


def disconnect_reason(info: models.ParticipantInfo) -> str:
    """Why a participant left, by LiveKit's own name; `UNKNOWN_REASON` for what this release does not know."""
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
    try:
        owner = json.loads(room.metadata)["voicesession"]
        if owner["installation"] != installation_id:
            return None
        return OwnedRoom(room.name, owner["namespace"], owner["name"], owner["uid"])
    except (ValueError, KeyError, TypeError):
        return None


async def _call(call: str, send: Callable[[], Awaitable[T]]) -> T:
    started, outcome = time.monotonic(), "ok"
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await send()
    except api.ServerError as error:
        found = _classify(error)
        outcome = "not_found" if isinstance(found, NotFoundError) else "error"
        raise found from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        outcome = "unreachable"
        raise RetryableError(UNAVAILABLE, "LiveKit does not answer") from error
    finally:
        metrics.LIVEKIT_REQUEST_SECONDS.labels(call, outcome).observe(time.monotonic() - started)


def _classify(error: api.ServerError) -> ExternalError:
    if error.code == "not_found":
        return NotFoundError("RoomNotFound", "the room does not exist")
    if error.status in _UNAUTHORIZED_STATUS:
        return RetryableError(UNAUTHORIZED, "LiveKit refuses the API key: check LIVEKIT_API_KEY and its secret")
    if error.status >= _SERVER_ERROR:
        return RetryableError(UNAVAILABLE, f"LiveKit answers {error.code}")
    return TerminalError(REFUSED, f"LiveKit answers {error.code}: {error.message}")
