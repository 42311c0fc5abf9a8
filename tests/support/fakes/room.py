"""Events of a LiveKit room and of an agent session, without LiveKit."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

from livekit import rtc

STANDARD = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP


class FakeRoom:
    """A room with its participants; `emit` plays an event of the server."""

    def __init__(self) -> None:
        self.local_participant = SimpleNamespace(identity="agent", sid="PA_agent")
        self.remote_participants: dict[str, rtc.RemoteParticipant] = {}
        self.disconnects = 0
        self.text_handlers: dict[str, Callable[..., None]] = {}
        self._listeners: dict[str, list[Callable[..., Any]]] = defaultdict(list)

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        self._listeners[event].append(listener)

    def off(self, event: str, listener: Callable[..., Any]) -> None:
        self._listeners[event].remove(listener)

    def emit(self, event: str, *arguments: Any) -> None:
        for listener in list(self._listeners[event]):
            listener(*arguments)

    def register_text_stream_handler(self, topic: str, handler: Callable[..., None]) -> None:
        self.text_handlers[topic] = handler

    def unregister_text_stream_handler(self, topic: str) -> None:
        del self.text_handlers[topic]

    async def connect(self, *_: Any) -> None:
        return

    async def disconnect(self) -> None:
        self.disconnects += 1
        self.emit("disconnected", rtc.DisconnectReason.CLIENT_INITIATED)

    def join(
        self, identity: str, kind: "rtc.ParticipantKind.ValueType" = STANDARD, **attributes: str
    ) -> rtc.RemoteParticipant:
        """Add a participant; `_` in the name of an attribute stands for a dot."""
        participant = make_participant(identity, kind)
        participant.attributes.update(_dotted(attributes))
        self.remote_participants[identity] = participant
        self.emit("participant_connected", participant)
        return participant

    def set_attributes(self, identity: str, **attributes: str) -> None:
        """Change attributes of a participant."""
        participant = self.remote_participants[identity]
        participant.attributes.update(_dotted(attributes))
        self.emit("participant_attributes_changed", _dotted(attributes), participant)

    def leave(self, identity: str) -> None:
        """Remove a participant."""
        self.emit("participant_disconnected", self.remote_participants.pop(identity))

    def speak(self, *identities: str) -> None:
        """Change the levels of these speakers; LiveKit's event lists no speaker whose level is the same."""
        local = self.local_participant
        self.emit(
            "active_speakers_changed",
            [local if i == local.identity else self.remote_participants[i] for i in identities],
        )


def make_participant(identity: str, kind: "rtc.ParticipantKind.ValueType" = STANDARD) -> rtc.RemoteParticipant:
    """Create a participant that has left by itself once it leaves."""
    participant: rtc.RemoteParticipant = create_autospec(rtc.RemoteParticipant, instance=True)
    participant.identity, participant.kind, participant.attributes = identity, kind, {}  # type: ignore[misc]
    participant.permissions = SimpleNamespace(can_update_metadata=False)  # type: ignore[misc, assignment]
    participant.name, participant.state = "", rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE  # type: ignore[misc]
    participant.disconnect_reason = rtc.DisconnectReason.CLIENT_INITIATED  # type: ignore[misc]
    return participant


def _dotted(attributes: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "."): value for name, value in attributes.items()}


def make_unconnected_room() -> rtc.Room:
    """Create LiveKit's own room with its local participant `agent`; a test emits its events."""
    room = rtc.Room()
    room._local_participant = create_autospec(rtc.LocalParticipant, instance=True)  # noqa: SLF001 - set by a join
    room.local_participant.identity = "agent"  # type: ignore[misc]
    return room


class FakeAgentSession:
    """The events of an AgentSession, and a record of the calls to it."""

    def __init__(self) -> None:
        self.user_state = self.agent_state = "listening"
        self.linked: list[str] = []
        self.said: list[str] = []
        self.audio: list[bool] = []
        self.closed = 0
        self.subscribed: asyncio.Future[None] | None = None
        self.speech_enabled: list[bool] = []
        self.input = SimpleNamespace(set_audio_enabled=self.audio.append)
        self.output = SimpleNamespace(set_audio_enabled=self.speech_enabled.append, audio=None)
        self.conn_options = SimpleNamespace(max_unrecoverable_errors=3)
        self._listeners: dict[str, list[Callable[..., Any]]] = defaultdict(list)

    @property
    def room_io(self) -> Any:
        return SimpleNamespace(set_participant=self.linked.append, subscribed_fut=self.subscribed)

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        self._listeners[event].append(listener)

    def emit(self, event: str, **facts: Any) -> None:
        for listener in list(self._listeners[event]):
            listener(SimpleNamespace(**facts))

    def say(self, text: str, **_: Any) -> None:
        self.said.append(text)

    async def aclose(self) -> None:
        self.closed += 1
