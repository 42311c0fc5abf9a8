"""RoomIO of livekit-agents as the assistant uses it: linked participants, their tracks and their text."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import AsyncMock, create_autospec

from livekit import rtc
from livekit.agents import Agent, AgentSession, JobContext
from livekit.agents.testing import fake_job_context
from voicesession_agent.assistant.assistant import ROOM_OPTIONS
from voicesession_agent.assistant.speaker_selection import NOBODY
from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.supervisor_client import SupervisorClient


def fake_participant(identity: str, spec: type = rtc.RemoteParticipant) -> Any:
    """Return a participant of kind STANDARD without tracks."""
    participant = create_autospec(spec, instance=True)
    participant.identity, participant.attributes, participant.track_publications = identity, {}, {}
    participant.kind = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
    return participant


def connected_room(*identities: str) -> rtc.Room:
    """Return a room as after the connection of the agent, with other participants."""
    room = rtc.Room()
    room._local_participant = fake_participant("agent", rtc.LocalParticipant)
    room._remote_participants.update({identity: fake_participant(identity) for identity in identities})
    return room


@contextmanager
def job_context(room: rtc.Room) -> Iterator[JobContext]:
    """Make livekit-agents' own context of a job the current one."""
    with fake_job_context(room=room) as ctx:
        yield ctx
    ctx._tempdir.cleanup()


async def test_participant_is_linked_on_request_only() -> None:
    room = connected_room("carol")
    carol = room.remote_participants["carol"]
    linked = []
    with job_context(room):
        session: AgentSession[None] = AgentSession()
        await session.start(Agent(instructions=""), room=room, room_options=ROOM_OPTIONS)
        room.emit("participant_connected", carol)
        linked.append(session.room_io.linked_participant)
        for identity in ("carol", NOBODY):
            session.room_io.set_participant(identity)
            room.emit("participant_connected", carol)
            linked.append(session.room_io.linked_participant)
        await session.aclose()
    assert linked == [None, carol, None]


async def test_room_output_is_measured_below_no_other_output() -> None:
    room, connected = connected_room(), create_autospec(SupervisorClient, instance=True)
    with job_context(room):
        session: AgentSession[None] = AgentSession()
        monitor = HealthMonitor(room, connected, AsyncMock(), lambda: session, print)
        await session.start(Agent(instructions=""), room=room, room_options=ROOM_OPTIONS)
        output = session.output.audio
        monitor.watch_playback(session)
        meter = session.output.audio
        await session.aclose()
    assert output is not None
    assert meter is not None
    assert (meter.next_in_chain, meter.can_pause, meter.sample_rate) == (output, output.can_pause, output.sample_rate)
