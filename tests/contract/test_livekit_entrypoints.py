"""The private names of livekit-agents that entry points of users need; test_livekit_internals.py has the others."""

import asyncio

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.room_io import RoomIO, RoomOptions
from voicesession_agent import livekit_internals

from tests.support.fakes.room import make_participant, make_unconnected_room

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
