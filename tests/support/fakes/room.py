"""A LiveKit room's events without LiveKit."""

from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

from livekit import rtc

STANDARD = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class FakeRoom:
    """Whoever is in it is in `remote_participants`; `emit` is what the server would cause."""

    def __init__(self) -> None:
        self.local_participant = SimpleNamespace(identity="agent", sid="PA_agent")
        self.remote_participants: dict[str, rtc.RemoteParticipant] = {}
        self.disconnects = 0
        self._listeners: dict[str, list[Callable[..., Any]]] = defaultdict(list)

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        self._listeners[event].append(listener)

    def off(self, event: str, listener: Callable[..., Any]) -> None:
        self._listeners[event].remove(listener)

    def emit(self, event: str, *arguments: Any) -> None:
        for listener in list(self._listeners[event]):
            listener(*arguments)

    async def connect(self, *_: Any) -> None:
        return

    async def disconnect(self) -> None:
        self.disconnects += 1
        self.emit("disconnected", rtc.DisconnectReason.CLIENT_INITIATED)

    def comes(self, identity: str, kind: "rtc.ParticipantKind.ValueType" = STANDARD) -> rtc.RemoteParticipant:
        participant = somebody(identity, kind)
        self.remote_participants[identity] = participant
        self.emit("participant_connected", participant)
        return participant

    def goes(self, identity: str) -> None:
        self.emit("participant_disconnected", self.remote_participants.pop(identity))

    def speak(self, *identities: str) -> None:
        """These are the active speakers now."""
        local = self.local_participant
        self.emit(
            "active_speakers_changed",
            [local if i == local.identity else self.remote_participants[i] for i in identities],
        )


def somebody(identity: str, kind: "rtc.ParticipantKind.ValueType" = STANDARD) -> rtc.RemoteParticipant:
    made: rtc.RemoteParticipant = create_autospec(rtc.RemoteParticipant, instance=True)
    made.identity, made.kind, made.attributes = identity, kind, {}  # type: ignore[misc]
    made.disconnect_reason = rtc.DisconnectReason.CLIENT_INITIATED  # type: ignore[misc]
    return made


class FakeAgentSession:
    """An AgentSession's events and the little that is asked of it."""

    def __init__(self) -> None:
        self.user_state = self.agent_state = "listening"
        self.linked: list[str] = []
        self.said: list[str] = []
        self.audio: list[bool] = []
        self.closed = 0
        self.room_io = SimpleNamespace(set_participant=self.linked.append)
        self.input = SimpleNamespace(set_audio_enabled=self.audio.append)
        self._listeners: dict[str, list[Callable[..., Any]]] = defaultdict(list)

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        self._listeners[event].append(listener)

    def emit(self, event: str, **facts: Any) -> None:
        for listener in list(self._listeners[event]):
            listener(SimpleNamespace(**facts))

    def say(self, text: str) -> None:
        self.said.append(text)

    async def aclose(self) -> None:
        self.closed += 1
