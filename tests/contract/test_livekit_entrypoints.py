"""The private names of livekit-agents that entry points of users need; test_livekit_internals.py has the others."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from livekit import api, rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.agents.beta.tools import EndCallTool
from livekit.agents.testing import fake_job_context
from livekit.agents.voice.room_io import RoomIO, RoomOptions
from livekit.api.room_service import RoomService
from voicesession_agent import livekit_internals
from voicesession_agent.job.shutdown import find_session
from voicesession_agent.settings import use_room_token

from tests.support.fakes.room import make_participant, make_unconnected_room
from tests.support.fakes.tool_calling_model import ToolCallingModel

DEADLINE = 30.0


@pytest.mark.parametrize("is_own_room", [True, False])
async def test_keep_sessions_open_affects_only_sessions_of_room(
    monkeypatch: pytest.MonkeyPatch, is_own_room: bool
) -> None:
    monkeypatch.setattr(RoomIO, "start", RoomIO.start)
    room, closed = make_unconnected_room(), asyncio.Event()
    livekit_internals.keep_sessions_open(room if is_own_room else rtc.Room())
    session: AgentSession[None] = AgentSession()
    session.on("close", lambda _: closed.set())
    await session.start(
        Agent(instructions="Listen."), room=room, room_options=RoomOptions(close_on_disconnect=True, audio_output=False)
    )
    human = make_participant("alice")
    room.emit("participant_connected", human)
    assert session.room_io.linked_participant is human
    room.emit("participant_disconnected", human)
    is_closing = session._is_closing()  # noqa: SLF001 - known before the event `close`
    assert is_closing is not is_own_room, "a leave of the linked participant no longer closes a session"
    await session.aclose()
    await asyncio.wait_for(closed.wait(), DEADLINE)


class OwnEnds:
    """The ends of a session that livekit_internals has reported."""

    def __init__(self, ctx: JobContext) -> None:
        self.ctx = ctx
        self.reported = asyncio.Event()
        self.ends: list[str] = []
        livekit_internals.watch_own_end(ctx.room, lambda: find_session(ctx), self.end, lambda: self.end("deleted"))

    def end(self, how: str) -> None:
        self.ends.append(how)
        self.reported.set()


@contextmanager
def watched_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEnds]:
    """Yield the ends in a job of the room `vs-1`; the replaced methods are restored afterwards."""
    monkeypatch.setattr(AgentSession, "shutdown", AgentSession.shutdown)
    monkeypatch.setattr(RoomService, "delete_room", RoomService.delete_room)
    room = rtc.Room()
    room._info.name = "vs-1"  # noqa: SLF001 - livekit-agents sets it before the room is connected
    with fake_job_context(room=room) as ctx:
        yield OwnEnds(ctx)
    ctx._tempdir.cleanup()  # noqa: SLF001


async def test_shutdown_of_session_is_reported_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched_job(monkeypatch) as own_ends:
        session: AgentSession[None] = AgentSession()
        closed: list[object] = []
        session.on("close", closed.append)
        await session.start(Agent(instructions="Listen."))
        session.shutdown()
        assert own_ends.ends == []
        await asyncio.wait_for(own_ends.reported.wait(), DEADLINE)
        assert (len(own_ends.ends), len(closed)) == (1, 1)


async def test_close_of_session_and_shutdown_of_second_session_are_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with watched_job(monkeypatch) as own_ends:
        first: AgentSession[None] = AgentSession()
        await first.start(Agent(instructions="Listen."))
        second: AgentSession[None] = AgentSession()
        closed = asyncio.Event()
        second.on("close", lambda _: closed.set())
        await second.start(Agent(instructions="Listen."), record=False)
        second.shutdown()
        await asyncio.wait_for(closed.wait(), DEADLINE)
        await first.aclose()
        assert own_ends.ends == []


async def test_end_call_tool_shuts_down_context_of_job(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched_job(monkeypatch) as own_ends:
        shut_down = asyncio.Event()
        monkeypatch.setattr(own_ends.ctx, "shutdown", lambda *_, **__: shut_down.set())
        tool = EndCallTool(end_instructions=None)
        session: AgentSession[None] = AgentSession(llm=ToolCallingModel("end_call"))
        await session.start(Agent(instructions="Call the tool.", tools=[tool]))
        session.generate_reply(user_input="Goodbye.")
        await asyncio.wait_for(shut_down.wait(), DEADLINE)
        assert own_ends.ends == ["the session was shut down"]


async def test_deletion_of_own_room_is_reported_and_other_rooms_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched_job(monkeypatch) as own_ends:
        sent: list[Any] = []

        async def request(_: object, service: str, method: str, data: Any, *__: object) -> Any:
            sent.append((method, data.room))

        async with api.LiveKitAPI("ws://127.0.0.1:9", token="t") as livekit:  # noqa: S106
            monkeypatch.setattr(type(livekit.room._client), "request", request)  # noqa: SLF001
            await livekit.room.delete_room(api.DeleteRoomRequest(room="vs-1"))
            assert own_ends.ends == ["deleted"]
            await livekit.room.delete_room(api.DeleteRoomRequest(room="other"))
        assert (sent, own_ends.ends) == ([("DeleteRoom", "other")], ["deleted"])


def test_context_deletes_room_with_the_watched_method() -> None:
    source = inspect.getsource(JobContext.delete_room)
    assert "self.api.room.delete_room(" in source


async def test_room_token_replaces_unused_key_of_livekit_api(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"LIVEKIT_URL": "ws://127.0.0.1:9", "LIVEKIT_API_KEY": "unused", "LIVEKIT_API_SECRET": "unused" * 6}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LIVEKIT_TOKEN", raising=False)
    given: dict[str, str] = {}
    use_room_token("admin", given)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    async with api.LiveKitAPI() as livekit:
        header = livekit.room._auth_header(None)  # noqa: SLF001 - the credentials of each request
    assert header == {"authorization": "Bearer admin"}


def test_registered_session_end_is_function_given_to_server() -> None:
    async def over(_: JobContext) -> None:
        return

    async def entry(_: JobContext) -> None:
        return

    server = AgentServer()
    assert livekit_internals.registered_session_end(server) is None
    server.rtc_session(entry, on_session_end=over)
    assert livekit_internals.registered_session_end(server) is over
