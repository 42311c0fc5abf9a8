"""A fake of LiveKit's room service; it counts calls and can fail."""

from collections import Counter

from voicesession_common.errors import ExternalError, RetryableError
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.domain.observed import ListedRoom, Participant, ParticipantKind, RoomOwner, RoomUnknown

from tests.support.builders import T0

ALWAYS_NEW = -1.0
"""An age that no list of rooms has, so that every question reads a new one, also at the same time."""


class FakeRooms:
    """LiveKit's rooms by name; `down` simulates an outage, `error` is raised by changes of rooms."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[Participant]] = {}
        self.down: RoomUnknown | None = None
        self.error: ExternalError | None = None
        self.owners: dict[str, RoomOwner] = {}
        """Owners of rooms that are only listed, by name."""
        self.metadata: dict[str, str] = {}
        """Metadata of created rooms."""
        self.unreadable: dict[str, ExternalError] = {}
        """Rooms whose participants cannot be listed, with the error."""
        self.calls: Counter[str] = Counter()
        self.deleted: list[str] = []
        self.refused: dict[str, ExternalError] = {}
        """Rooms that cannot be deleted, with the error."""

    async def list_rooms(self) -> dict[str, ListedRoom]:
        self.calls["ListRooms"] += 1
        self._check_up()
        owned = {name: ListedRoom(f"RM_{name}", 0, owner) for name, owner in self.owners.items()}
        return owned | {name: self._listed(name) for name in self.rooms}

    async def list_participants(self, name: str) -> tuple[Participant, ...]:
        self.calls["ListParticipants"] += 1
        self._check_up()
        if name in self.unreadable:
            raise self.unreadable[name]
        if name not in self.rooms:
            raise RetryableError("LiveKitUnavailable", "no response from servers")
        return tuple(self.rooms[name])

    async def create_room(self, name: str, metadata: str, max_participants: int) -> ListedRoom:
        self.calls["CreateRoom"] += 1
        self._check()
        self.rooms.setdefault(name, [])
        self.metadata.setdefault(name, metadata)
        return self._listed(name)

    async def delete_room(self, name: str) -> None:
        self.calls["DeleteRoom"] += 1
        self._check()
        if name in self.refused:
            raise self.refused[name]
        self.deleted.append(name)
        self.rooms.pop(name, None)
        self.owners.pop(name, None)

    def agent_token(self, room: str, identity: str, display_name: str, ttl_seconds: int, epoch: int) -> str:
        return f"token for {identity} in {room}"

    def admin_token(self, room: str, ttl_seconds: int) -> str:
        return f"admin token for {room}"

    def _listed(self, name: str) -> ListedRoom:
        humans = sum(participant.kind != ParticipantKind.AGENT for participant in self.rooms[name])
        return ListedRoom(f"RM_{name}", humans, self.owners.get(name))

    def _check_up(self) -> None:
        if self.down is not None:
            raise RetryableError(self.down.reason, self.down.message)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


def directory_of(rooms: FakeRooms) -> RoomDirectory:
    """Return a directory that reads a new list of rooms for every question."""
    return RoomDirectory(rooms, lambda _: None, lambda: T0, ALWAYS_NEW, failure_seconds=0)
