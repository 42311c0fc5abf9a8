"""The directory of rooms: one list for all sessions, and the participants where they may have changed."""

import asyncio
import itertools

import pytest
from voicesession_common.errors import ExternalError, NotFoundError, RetryableError
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.domain.naming import room_metadata, room_owner
from voicesession_operator.domain.observed import ListedRoom, Participant, Room, RoomOwner, RoomUnknown
from voicesession_operator.domain.requeue import CACHED_SECONDS

from tests.support.async_polling import until
from tests.support.builders import T0, agent_participant, human, session
from tests.support.fakes.livekit_rooms import FakeRooms

DOWN = RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")
DEADLINE_SECONDS = 30


class Scene:
    """A directory whose list may be 8 s old; `changed` has the names of the rooms that it reports."""

    def __init__(self, rooms: FakeRooms | None = None) -> None:
        self.now, self.changed = T0, list[str]()
        self.rooms = rooms or FakeRooms()
        self.directory = RoomDirectory(self.rooms, self.changed.append, lambda: self.now, list_seconds=8)

    async def look(self, name: str = "vs-1", *, events: int = 0, fresh: bool = False) -> Room | RoomUnknown | None:
        self.now += 0.001
        room, _ = await self.directory.observe(name, events, frozenset(), fresh)
        return room

    def calls(self) -> tuple[int, int]:
        """Return the number of lists of rooms and of lists of participants."""
        return self.rooms.calls["ListRooms"], self.rooms.calls["ListParticipants"]


class HangingRooms(FakeRooms):
    """Lists of participants have no answer, like those of a room that is gone."""

    async def list_participants(self, name: str) -> tuple[Participant, ...]:
        await asyncio.Event().wait()
        return ()


class SlowRooms(FakeRooms):
    """Lists of rooms wait for `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def list_rooms(self) -> dict[str, ListedRoom]:
        found = await super().list_rooms()
        await self.go.wait()
        return found


async def test_simultaneous_looks_share_a_list() -> None:
    scene = Scene(SlowRooms())
    scene.rooms.rooms = {f"vs-{number}": [agent_participant()] for number in range(100)}
    looks = [asyncio.ensure_future(scene.directory.observe(name, 0, None, False)) for name in scene.rooms.rooms]
    await asyncio.sleep(0)
    assert isinstance(scene.rooms, SlowRooms)
    scene.rooms.go.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert all(isinstance(room, Room) for room, _ in await asyncio.gather(*looks))
    assert scene.calls() == (1, 100)
    scene.now += 7.9
    await asyncio.gather(*(scene.directory.observe(name, 0, frozenset(), False) for name in scene.rooms.rooms))
    assert scene.calls() == (1, 100)
    scene.now += 0.2
    await asyncio.gather(*(scene.directory.observe(name, 0, frozenset(), False) for name in scene.rooms.rooms))
    assert scene.calls() == (2, 100)


async def test_failed_list_costs_waiting_sessions_a_single_request() -> None:
    scene = Scene()
    scene.rooms.down = DOWN
    found = await asyncio.gather(*(scene.directory.observe(f"vs-{n}", 0, None, False) for n in range(50)))
    assert {room for room, _ in found} == {DOWN}
    assert scene.calls() == (1, 0)
    scene.rooms.down = None
    scene.now += 1.1
    assert await scene.look() is None


async def test_fresh_look_lists_participants_again() -> None:
    scene = Scene()
    scene.rooms.rooms["vs-1"] = [human()]
    await scene.look()
    scene.rooms.rooms["vs-1"].clear()
    assert await scene.look() == Room("RM_vs-1", (human(),)), "nothing has shown the change"
    assert await scene.look(fresh=True) == Room("RM_vs-1", ())


async def test_webhook_leads_to_a_single_look() -> None:
    scene = Scene()
    scene.rooms.rooms["vs-1"] = [human()]
    await scene.look()
    scene.rooms.rooms["vs-1"].clear()
    assert await scene.look(events=1) == Room("RM_vs-1", ())
    await scene.look(events=1)
    assert scene.calls()[1] == 2


async def test_changed_room_of_the_list_is_reported() -> None:
    scene = Scene()
    scene.rooms.rooms = {"vs-1": [human()], "vs-2": [human("bob")], "vs-3": [human("carol")], "foreign": []}
    for name in ("vs-1", "vs-2", "vs-3"):
        await scene.look(name)
    scene.rooms.rooms["vs-1"].clear()
    del scene.rooms.rooms["vs-2"]
    scene.now += 9
    await scene.look("vs-3")
    assert scene.changed == ["vs-1", "vs-2"]


async def test_old_look_is_no_news_and_looks_of_the_same_time_age_at_different_times() -> None:
    scene = Scene()
    scene.rooms.rooms = {f"vs-{number}": [human()] for number in range(50)}
    for name in scene.rooms.rooms:
        await scene.look(name)
    scene.now += CACHED_SECONDS[0] + (CACHED_SECONDS[1] - CACHED_SECONDS[0]) / 2
    due = sum(scene.directory.is_look_due(name, 0) for name in scene.rooms.rooms)
    await scene.directory.rooms()
    assert 0 < due < 50
    scene.now += CACHED_SECONDS[1]
    await scene.directory.rooms()
    assert all(scene.directory.is_look_due(name, 0) for name in scene.rooms.rooms)
    assert scene.changed == []


async def test_simultaneous_slow_looks_share_a_list_of_rooms() -> None:
    scene = Scene(HangingRooms())
    scene.rooms.rooms = {f"vs-{number}": [human()] for number in range(50)}
    ticks = itertools.count()
    directory = RoomDirectory(scene.rooms, scene.changed.append, lambda: T0 + next(ticks) / 1e6, list_seconds=8)
    looks = [asyncio.ensure_future(directory.observe(name, 0, None, False)) for name in scene.rooms.rooms]
    await until(lambda: scene.calls()[0] > 1)
    for _ in range(100):
        await asyncio.sleep(0)
    for look in looks:
        look.cancel()
    await asyncio.gather(*looks, return_exceptions=True)
    assert scene.calls()[0] <= 3


async def test_created_room_needs_no_new_list() -> None:
    scene = Scene()
    assert await scene.look() is None
    await scene.directory.create_room("vs-1", "{}", 0)
    assert isinstance(await scene.look(), Room)
    await scene.directory.delete_room("vs-1")
    assert await scene.look() is None
    assert scene.calls()[0] == 1


async def test_list_requested_before_a_creation_does_not_hide_the_room() -> None:
    scene = Scene(SlowRooms())
    assert isinstance(scene.rooms, SlowRooms)
    listing = asyncio.create_task(scene.directory.rooms())
    await asyncio.sleep(0)
    scene.now += 1
    await scene.directory.create_room("vs-1", "{}", 0)
    scene.rooms.go.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert "vs-1" in await listing


async def test_lost_room_is_found_before_livekit_answers_about_participants() -> None:
    scene = Scene(HangingRooms())
    scene.rooms.rooms["vs-1"] = [human()]
    await scene.directory.rooms()
    del scene.rooms.rooms["vs-1"]
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await scene.look() is None


async def test_empty_answer_about_a_lost_room_is_no_empty_room() -> None:
    class WithoutErrors(FakeRooms):
        """LiveKit without `enable_psrpc_for_get_list_participants`."""

        async def list_participants(self, name: str) -> tuple[Participant, ...]:
            return tuple(self.rooms.get(name, ()))

    scene = Scene(WithoutErrors())
    scene.rooms.rooms["vs-1"] = [human()]
    await scene.look()
    del scene.rooms.rooms["vs-1"]
    assert await scene.look(events=1) is None


@pytest.mark.parametrize(
    "error", [RetryableError("LiveKitUnavailable", "LiveKit answers unavailable"), NotFoundError("RoomNotFound", "no")]
)
async def test_listed_room_without_participants_is_unreadable_since_the_first_failure(error: ExternalError) -> None:
    scene = Scene()
    scene.rooms.rooms["vs-1"] = [human()]
    scene.rooms.unreadable["vs-1"] = error
    first = await scene.look()
    since = scene.now
    assert isinstance(first, RoomUnknown)
    scene.now += 40
    assert await scene.look() == first
    assert first.unreadable_since == since
    scene.rooms.unreadable.clear()
    assert isinstance(await scene.look(), Room)
    scene.rooms.unreadable["vs-1"] = error
    again = await scene.look(fresh=True)
    assert isinstance(again, RoomUnknown)
    assert again.unreadable_since == scene.now


async def test_failed_look_at_a_lost_room_finds_no_room() -> None:
    scene = Scene()
    scene.rooms.rooms["vs-1"] = [human()]
    await scene.directory.rooms()
    del scene.rooms.rooms["vs-1"]
    assert await scene.look() is None


async def test_created_room_names_the_cluster() -> None:
    scene = Scene()
    scene.directory.cluster = "cluster-1"
    await scene.directory.create_room("vs-1", room_metadata(session().build(), "inst"), 0)
    assert room_owner(scene.rooms.metadata["vs-1"]) == RoomOwner("inst", "default", "hello", "cluster-1")
