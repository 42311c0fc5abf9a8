"""Rooms and participants, read from LiveKit's API on the host."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from livekit import api

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube

T = TypeVar("T")

ACTIVE = api.ParticipantInfo.ACTIVE
CREDENTIALS = "voicesession.dev/livekit-credentials=true"


@dataclass(frozen=True)
class Key:
    """API key and secret of LiveKit."""

    key: str
    secret: str


class LiveKit:
    """Blocking client of the room service; each call opens a connection."""

    def __init__(self, url: str, key: Key) -> None:
        self.url = url
        self.key = key

    def rooms(self, namespace: str | None = None) -> list[str]:
        """Return the names of all rooms, or of those of one namespace's sessions."""
        found = self._call(lambda lk: lk.room.list_rooms(api.ListRoomsRequest())).rooms
        return [room.name for room in found if namespace in (None, _namespace_of(room.metadata))]

    def exists(self, room: str) -> bool:
        """Return whether the room exists."""
        return bool(self._call(lambda lk: lk.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms)

    def participants(self, room: str) -> dict[str, api.ParticipantInfo]:
        """Return the ACTIVE participants by identity; empty if the room does not exist."""
        if not self.exists(room):
            return {}
        request = api.ListParticipantsRequest(room=room)
        try:
            found = self._call(lambda lk: lk.room.list_participants(request)).participants
        except api.TwirpError:
            return {}
        return {p.identity: p for p in found if p.state == ACTIVE}

    def sid(self, room: str, identity: str) -> str:
        """Return the participant's SID while it is ACTIVE, else an empty string."""
        found = self.participants(room).get(identity)
        return found.sid if found else ""

    def delete(self, room: str) -> None:
        """Delete the room without the operator."""
        self._call(lambda lk: lk.room.delete_room(api.DeleteRoomRequest(room=room)))

    def mute(self, room: str, identity: str) -> None:
        """Mute every track of the participant on the server: no other participant receives them."""
        found = self.participants(room)[identity]
        assert found.tracks, f"{identity} has published nothing"
        for track in found.tracks:
            self._mute(api.MuteRoomTrackRequest(room=room, identity=identity, track_sid=track.sid, muted=True))

    def _mute(self, request: api.MuteRoomTrackRequest) -> None:
        self._call(lambda lk: lk.room.mute_published_track(request))

    def _call(self, call: Callable[[api.LiveKitAPI], Awaitable[T]]) -> T:
        async def run() -> T:
            async with api.LiveKitAPI(self.url.replace("ws", "http", 1), self.key.key, self.key.secret) as livekit:
                return await call(livekit)

        return asyncio.run(run())


def connect(kube: Kube) -> LiveKit:
    """Return a client of the cluster's LiveKit at a node's address, with the key of its Secret."""
    nodes = kube.all("nodes", selector="!node-role.kubernetes.io/control-plane") or kube.all("nodes")
    address = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
    (secret,) = kube.all("secrets", constants.NAMESPACE, CREDENTIALS)
    key, value = (base64.b64decode(secret["data"][n]).decode() for n in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"))
    return LiveKit(f"ws://{address}:{constants.SIGNAL_NODE_PORT}", Key(key, value))


def _namespace_of(metadata: str) -> str:
    try:
        return str(json.loads(metadata)["voicesession"]["namespace"])
    except (ValueError, KeyError, TypeError):
        return ""
