"""The ways in which an entry point connects and waits, with livekit-agents' own JobContext in this project's job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AutoSubscribe, JobContext
from livekit.agents.testing import fake_job_context
from voicesession_agent.job.room_reporter import RoomReporter

from tests.support.fakes.room import make_participant, make_unconnected_room

DEADLINE = 30.0


class RecordingClient:
    """A client for the supervisor that keeps the kinds of the reports."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def report(self, kind: str, **_: Any) -> None:
        self.kinds.append(kind)


class Job:
    """A job that has not connected, in a room where alice is."""

    def __init__(self, ctx: JobContext, room: rtc.Room) -> None:
        self.ctx, self.client = ctx, RecordingClient()
        self.alice = make_participant("alice")
        self.alice.state = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE  # type: ignore[misc]
        self.options: list[rtc.RoomOptions] = []
        room.connect = self._connect  # type: ignore[method-assign, assignment]
        self._room = room
        ctx._connected = False  # noqa: SLF001 - the fake one is connected
        self.reporter = RoomReporter(room, self.client)  # type: ignore[arg-type]

    async def _connect(self, _url: str, _token: str, options: rtc.RoomOptions) -> None:
        self.options.append(options)
        self._room._remote_participants["alice"] = self.alice  # noqa: SLF001 - as LiveKit's client does
        self._room.isconnected = lambda: True  # type: ignore[method-assign]


@asynccontextmanager
async def started() -> AsyncIterator[Job]:
    room = make_unconnected_room()
    with fake_job_context(room=room) as ctx:
        job = Job(ctx, room)
        yield job
        await job.reporter.close()
    ctx._tempdir.cleanup()  # noqa: SLF001 - the fake one leaves it


@pytest.mark.parametrize("variant", list(AutoSubscribe))
async def test_connect_passes_variant_and_reports_join(variant: AutoSubscribe) -> None:
    async with started() as job:
        await job.ctx.connect(auto_subscribe=variant)
        await job.ctx.connect()
    assert [options.auto_subscribe for options in job.options] == [variant is AutoSubscribe.SUBSCRIBE_ALL]
    assert job.client.kinds.count("joined") == 1


async def test_wait_for_participant_connects_and_finds_present_human() -> None:
    async with started() as job:
        found = await asyncio.wait_for(job.ctx.wait_for_participant(), DEADLINE)
    assert found is job.alice
    assert "joined" in job.client.kinds


async def test_participant_entrypoint_runs_for_present_and_next_human() -> None:
    served: list[str] = []
    both = asyncio.Event()

    async def serve(_: JobContext, participant: rtc.RemoteParticipant) -> None:
        served.append(participant.identity)
        if len(served) == 2:
            both.set()

    async with started() as job:
        job.ctx.add_participant_entrypoint(serve)
        await job.ctx.connect()
        job.ctx.room.emit("participant_connected", make_participant("bob"))
        await asyncio.wait_for(both.wait(), DEADLINE)
    assert served == ["alice", "bob"]
