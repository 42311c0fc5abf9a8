"""Selection of the human that the assistant hears, one at a time, and the greeting."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from livekit import rtc
from livekit.agents import AgentSession
from livekit.rtc.room import EventTypes

from voicesession_agent.job.humans import (
    RecentSpeakers,
    is_call_ended,
    is_call_unanswered,
    is_human,
    is_reachable,
)
from voicesession_agent.job.room_reporter import RoomReporter

CHANGES: Final[tuple[EventTypes, ...]] = (
    "participant_connected",
    "participant_disconnected",
    "participant_attributes_changed",
    "participant_permissions_changed",
)
"""The room's events after which another participant may be the human to hear."""

NOBODY: Final = ""
"""An identity that no participant has. RoomIO links the next participant by itself if its identity is None."""


class Greeter:
    """Greets each human once, also across jobs: a job that takes over starts with the humans greeted before."""

    def __init__(self, session: "AgentSession[Any]", reporter: RoomReporter, greeting: str, greeted: set[str]) -> None:
        self._session = session
        self._reporter = reporter
        self._greeting = greeting
        self._greeted = greeted

    def greet(self, identity: str) -> None:
        """Say the greeting unless this human has had it."""
        if self._greeting and identity not in self._greeted:
            self._session.say(self._greeting)
        self.skip(identity)

    def skip(self, identity: str) -> None:
        """Mark as greeted: a human already in the conversation needs no greeting."""
        if self._greeting and identity not in self._greeted:
            self._greeted.add(identity)
            self._reporter.report("greeted", identity=identity)


class SpeakerSelector:
    """Links the session to the human in the room; with several humans, to the speaking one; without any, to nobody.

    A human linked because of a join or a departure is greeted as soon as speech reaches them; a human linked because of
    speech is not. A SIP phone that rings is linked but not heard: the agent's track is published for the first linked
    participant, and LiveKit's SIP service answers an incoming call when it has subscribed to a track.
    `on_occupancy` is called with true for the first human in the room, and with false when the last one has left.
    """

    def __init__(
        self,
        room: rtc.Room,
        session: "AgentSession[Any]",
        greeter: Greeter,
        on_occupancy: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._session = session
        self._greeter = greeter
        self._on_occupancy = on_occupancy
        self._clock = clock
        self._speakers = RecentSpeakers()
        self._linked = NOBODY
        self._is_occupied = False
        self._is_ringing = False

    @property
    def linked(self) -> str:
        """Return the identity of the linked human, or an empty string."""
        return self._linked

    def start(self) -> None:
        """Select a human now, and again on every change of the room."""
        for event in CHANGES:
            self._room.on(event, self._on_change)
        self._room.on("active_speakers_changed", self._on_active_speakers_changed)
        self._select_human()

    async def close(self) -> None:
        """Stop the selection."""
        for event in CHANGES:
            self._room.off(event, self._on_change)
        self._room.off("active_speakers_changed", self._on_active_speakers_changed)

    def _on_change(self, *_: Any) -> None:
        self._select_human()

    def _select_human(self) -> None:
        """Keep the linked human while present, else link the first to join, else a phone that rings."""
        present = [p.identity for p in self._room.remote_participants.values() if _is_present(p)]
        if self._linked not in present:
            self._link(next(iter((*present, *self._ringing())), NOBODY))
        self._set_ringing(self._linked not in (*present, NOBODY))
        if self._linked in present and is_reachable(self._room.remote_participants[self._linked]):
            self._greeter.greet(self._linked)
        if self._is_occupied != bool(present):
            self._is_occupied = bool(present)
            self._on_occupancy(self._is_occupied)

    def _ringing(self) -> list[str]:
        humans = (p for p in self._room.remote_participants.values() if is_human(p))
        return [p.identity for p in humans if is_call_unanswered(p)]

    def _set_ringing(self, is_ringing: bool) -> None:
        """Stop or resume hearing; the calls are only made at a change, because the end of a job stops hearing too."""
        if is_ringing != self._is_ringing:
            self._is_ringing = is_ringing
            self._session.input.set_audio_enabled(not is_ringing)

    def _on_active_speakers_changed(self, speakers: Sequence[rtc.Participant]) -> None:
        """Link a speaking human while the linked one is silent, for voice detection and for LiveKit."""
        now = self._clock()
        speaking = [p.identity for p in speakers if isinstance(p, rtc.RemoteParticipant) and _is_present(p)]
        self._speakers.changed(speaking, now)
        is_silent = self._linked not in self._speakers.recent(now) and self._session.user_state != "speaking"
        if speaking and is_silent:
            self._link(speaking[0])
            self._greeter.skip(speaking[0])

    def _link(self, identity: str) -> None:
        """Link the human, or NOBODY."""
        if identity != self._linked:
            self._linked = identity
            self._session.room_io.set_participant(identity)


def _is_present(participant: rtc.RemoteParticipant) -> bool:
    """Return whether the participant is a human to talk with, and no phone that rings or has hung up."""
    return is_human(participant) and not is_call_unanswered(participant) and not is_call_ended(participant)
