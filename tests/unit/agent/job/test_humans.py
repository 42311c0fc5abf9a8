"""Participants that count as humans inside the room, and the link of livekit-agents' own session to them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseEvent
from livekit.agents.voice.room_io import RoomIO, RoomOptions
from voicesession_agent.job.humans import (
    SessionLink,
    is_call_ended,
    is_call_unanswered,
    is_human,
    is_reachable,
)

from tests.support.fakes.room import AGENT, make_participant, make_unconnected_room

KIND = rtc.ParticipantKind
OBSERVER, HUMAN = {"voicesession.role": "observer"}, {"voicesession.role": "human"}
AVATAR = {"lk.publish_on_behalf": "agent"}


@dataclass
class FakeParticipant:
    kind: "rtc.ParticipantKind.ValueType"
    attributes: dict[str, str] = field(default_factory=dict)
    can_update_metadata: bool = False

    @property
    def permissions(self) -> "FakeParticipant":
        return self


@pytest.mark.parametrize(
    ("participant", "human"),
    [
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_SIP), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_CONNECTOR), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_AGENT), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_EGRESS), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, AVATAR), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, {"lk.publish_on_behalf": ""}), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, OBSERVER), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_AGENT, HUMAN), True),
    ],
)
def test_is_human(participant: FakeParticipant, human: bool) -> None:
    assert is_human(participant) is human


@pytest.mark.parametrize(
    ("kind", "attributes", "human"),
    [
        (KIND.PARTICIPANT_KIND_STANDARD, OBSERVER, True),
        (KIND.PARTICIPANT_KIND_STANDARD, AVATAR, True),
        (KIND.PARTICIPANT_KIND_EGRESS, HUMAN, False),
        (KIND.PARTICIPANT_KIND_SIP, OBSERVER, False),
        (KIND.PARTICIPANT_KIND_CONNECTOR, OBSERVER, False),
        (KIND.PARTICIPANT_KIND_INGRESS, HUMAN, True),
        (KIND.PARTICIPANT_KIND_AGENT, HUMAN, True),
    ],
)
def test_writable_attributes_count_for_services_only(
    kind: "rtc.ParticipantKind.ValueType", attributes: dict[str, str], human: bool
) -> None:
    assert is_human(FakeParticipant(kind, attributes, can_update_metadata=True)) is human


@pytest.mark.parametrize(
    ("status", "unanswered", "ended", "reachable"),
    [
        ("dialing", True, False, False),
        ("ringing", True, False, False),
        ("automation", False, False, False),
        ("active", False, False, True),
        ("hangup", False, True, False),
        ("", False, False, True),
    ],
)
def test_status_of_call_counts_for_sip_only(status: str, unanswered: bool, ended: bool, reachable: bool) -> None:
    phone = FakeParticipant(KIND.PARTICIPANT_KIND_SIP, {"sip.callStatus": status})
    assert (is_call_unanswered(phone), is_call_ended(phone), is_reachable(phone)) == (unanswered, ended, reachable)
    other = FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, {"sip.callStatus": status})
    assert (is_call_unanswered(other), is_call_ended(other), is_reachable(other)) == (False, False, True)


class LinkScene:
    """A session of livekit-agents in a room that is not connected, as an entry point of a user starts it."""

    def __init__(self) -> None:
        self.room = make_unconnected_room()
        self.session: AgentSession[None] | None = None
        self.closed: list[CloseEvent] = []
        self.link = SessionLink(self.room, lambda: self.session)

    async def start(self, options: RoomOptions) -> None:
        self.session = AgentSession()
        self.session.on("close", self.closed.append)
        await self.session.start(Agent(instructions="Listen."), room=self.room, room_options=options)

    async def join(self, identity: str, kind: Any = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD) -> None:
        participant = make_participant(identity, kind)
        self.room._remote_participants[identity] = participant  # noqa: SLF001 - LiveKit fills it
        self.room.emit("participant_connected", participant)
        await settle()

    async def leave(self, identity: str) -> None:
        self.room.emit("participant_disconnected", self.room._remote_participants.pop(identity))  # noqa: SLF001 - as above
        await settle()

    @property
    def linked(self) -> str:
        """The identity of the participant that the session hears, or an empty string."""
        assert self.session is not None
        participant = self.session.room_io.linked_participant
        return participant.identity if participant is not None else ""


async def settle() -> None:
    """Let the callbacks and tasks that an event has scheduled run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture(
    params=[
        RoomOptions(audio_output=False),
        RoomOptions(audio_output=False, close_on_disconnect=True),
        RoomOptions(audio_output=False, participant_identity="alice"),
    ]
)
async def linked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LinkScene]:
    """Yield a scene in which alice is linked."""
    monkeypatch.setattr(RoomIO, "start", RoomIO.start)
    scene = LinkScene()
    await scene.start(request.param)
    await scene.join("alice")
    assert scene.linked == "alice"
    yield scene
    assert scene.session is not None
    await scene.session.aclose()


@pytest.mark.parametrize("back", ["alice", "alice-after-reload"])
async def test_session_after_leave_hears_next_human(linked: LinkScene, back: str) -> None:
    await linked.leave("alice")
    await linked.join("recorder", AGENT)
    assert (linked.linked, linked.closed) == ("", [])
    await linked.join(back)
    assert (linked.linked, linked.closed) == (back, [])
    await linked.leave(back)
    await linked.join("bob")
    assert (linked.linked, linked.closed) == ("bob", [])


async def test_session_after_leave_hears_remaining_human(linked: LinkScene) -> None:
    await linked.join("bob")
    assert linked.linked == "alice"
    await linked.leave("alice")
    assert (linked.linked, linked.closed) == ("bob", [])


async def test_session_unlinked_by_entry_point_stays_unlinked(linked: LinkScene) -> None:
    assert linked.session is not None
    await linked.join("bob")
    linked.session.room_io.unset_participant()
    await linked.leave("alice")
    assert linked.linked == ""


async def test_session_without_room_is_left_alone() -> None:
    scene = LinkScene()
    await scene.join("alice")
    await scene.leave("alice")
    scene.session = AgentSession()
    await scene.join("alice")
    await scene.leave("alice")
    with pytest.raises(RuntimeError):
        scene.session.room_io  # noqa: B018 - the property itself raises
