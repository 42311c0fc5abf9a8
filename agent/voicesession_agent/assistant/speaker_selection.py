"""Selection of the human that the assistant hears, one at a time, and the greeting."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from livekit import rtc
from livekit.agents import AgentSession
from livekit.rtc.room import EventTypes

from voicesession_agent.job.humans import is_human
from voicesession_agent.job.room_reporter import RoomReporter

CHANGES: Final[tuple[EventTypes, ...]] = (
    "participant_connected",
    "participant_disconnected",
    "participant_attributes_changed",
    "participant_permissions_changed",
)
"""The room's events after which another participant may be the human to hear."""


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
    """Links the session to the human in the room; with several humans, to the speaking one.

    A human linked because of a join or a departure is greeted; a human linked because of speech is not.
    `on_occupancy` is called with true for the first human in the room, and with false when the last one has left.
    """

    def __init__(
        self,
        room: rtc.Room,
        session: "AgentSession[Any]",
        greeter: Greeter,
        on_occupancy: Callable[[bool], None],
    ) -> None:
        self._room = room
        self._session = session
        self._greeter = greeter
        self._on_occupancy = on_occupancy
        self._linked = ""

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
        """Keep the linked human while present, else link the first to join."""
        humans = [p.identity for p in self._room.remote_participants.values() if is_human(p)]
        if self._linked in humans:
            return
        was_alone, self._linked = not self._linked, ""
        if humans:
            self._link(humans[0])
            self._greeter.greet(self._linked)
        if was_alone != (not humans):
            self._on_occupancy(bool(humans))

    def _on_active_speakers_changed(self, speakers: Sequence[rtc.Participant]) -> None:
        """Link a speaking human while the linked one is silent; LiveKit lists the loudest first."""
        speaking = [p.identity for p in speakers if isinstance(p, rtc.RemoteParticipant) and is_human(p)]
        if speaking and self._linked not in speaking and self._session.user_state != "speaking":
            self._link(speaking[0])
            self._greeter.skip(speaking[0])

    def _link(self, identity: str) -> None:
        self._linked = identity
        self._session.room_io.set_participant(identity)
