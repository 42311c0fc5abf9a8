"""Selection of the human that the assistant hears, one at a time, its audience, and the greeting."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from livekit import rtc
from livekit.agents import AgentSession
from livekit.rtc.room import EventTypes

from voicesession_agent.job.humans import (
    RecentSpeakers,
    is_call_unanswered,
    is_human,
    is_present,
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

ACTIVE_SECONDS: Final = 15.0
"""Wait for a human's connection to carry media: 0.1 s, or seconds on a bad network. LiveKit itself waits for 60 s."""
SUBSCRIBE_SECONDS: Final = 3.0
"""Wait for the first subscription to the agent's track, which follows the connection within some 0.1 s."""
CONNECTIONS: Final[tuple[EventTypes, ...]] = ("participant_active", "participant_disconnected")
"""The room's events after which a human's connection is no longer expected."""
log = logging.getLogger(__name__)


class Audience:
    """Lets the agent speak when a human can hear it, and only write where nobody subscribes to its track.

    RoomIO holds back the first speech, and every later answer with it, until a participant has subscribed.
    """

    def __init__(
        self,
        room: rtc.Room,
        session: "AgentSession[Any]",
        active_seconds: float = ACTIVE_SECONDS,
        subscribe_seconds: float = SUBSCRIBE_SECONDS,
    ) -> None:
        self._room = room
        self._session = session
        self._active_seconds = active_seconds
        self._subscribe_seconds = subscribe_seconds
        self._unsubscribed: set[str] = set()
        self._speeches: set[asyncio.Task[None]] = set()

    def say(self, text: str, identity: str, on_end: Callable[[bool], object] = bool) -> None:
        """Say the text as soon as this human can hear it, or write it; a human gone meanwhile gets neither.

        `on_end` is then called with true, or with false for a human gone meanwhile.
        """
        task = asyncio.create_task(self._say(text, identity, on_end))
        self._speeches.add(task)
        task.add_done_callback(self._speeches.discard)

    async def wait(self, identity: str) -> None:
        """Wait, within limits, until this human can hear; then choose between speech and text for the next answer."""
        await self._wait_until_active(identity)
        subscribed = self._session.room_io.subscribed_fut
        if subscribed is None:
            return
        if not subscribed.done() and identity not in self._unsubscribed:
            await asyncio.wait((subscribed,), timeout=self._subscribe_seconds)
            self._unsubscribed = {identity, *self._unsubscribed} & set(self._room.remote_participants)
        if self._session.agent_state != "speaking":  # the end of an answer follows its beginning, spoken or written
            self._session.output.set_audio_enabled(subscribed.done())

    async def close(self) -> None:
        """Say nothing more."""
        for task in self._speeches:
            task.cancel()
        await asyncio.gather(*self._speeches, return_exceptions=True)

    async def _say(self, text: str, identity: str, on_end: Callable[[bool], object]) -> None:
        await self.wait(identity)
        is_present = identity in self._room.remote_participants
        if is_present:
            self._session.say(text)
        on_end(is_present)

    async def _wait_until_active(self, identity: str) -> None:
        if not self._is_connecting(identity):
            return
        connected = asyncio.Event()

        def check(*_: Any) -> None:
            if not self._is_connecting(identity):
                connected.set()

        for event in CONNECTIONS:
            self._room.on(event, check)
        try:
            await asyncio.wait_for(connected.wait(), self._active_seconds)
        except TimeoutError:
            log.warning("a human's connection carries no media yet", extra={"event": "human_not_active"})
        finally:
            for event in CONNECTIONS:
                self._room.off(event, check)

    def _is_connecting(self, identity: str) -> bool:
        participant = self._room.remote_participants.get(identity)
        return participant is not None and participant.state != rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE


class Greeter:
    """Greets each human once, also across jobs: a job that takes over starts with the humans greeted before.

    A human who left before the greeting has not had it, and gets it after a return.
    """

    def __init__(
        self,
        say: Callable[[str, str, Callable[[bool], object]], None],
        reporter: RoomReporter,
        greeting: str,
        greeted: set[str],
    ) -> None:
        """Greet by `say`, which takes a text, the identity of its human, and a function for the result."""
        self._say = say
        self._reporter = reporter
        self._greeting = greeting
        self._greeted = greeted

    def greet(self, identity: str) -> None:
        """Say the greeting unless this human has had it."""
        if self._greeting and identity not in self._greeted:
            self._greeted.add(identity)
            self._say(self._greeting, identity, partial(self._on_end, identity))

    def skip(self, identity: str) -> None:
        """Mark as greeted: a human already in the conversation needs no greeting."""
        if self._greeting and identity not in self._greeted:
            self._greeted.add(identity)
            self._reporter.report("greeted", identity=identity)

    def _on_end(self, identity: str, is_said: bool) -> None:
        if is_said:
            self._reporter.report("greeted", identity=identity)
        else:
            self._greeted.discard(identity)


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
        present = [p.identity for p in self._room.remote_participants.values() if is_present(p)]
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
        speaking = [p.identity for p in speakers if isinstance(p, rtc.RemoteParticipant) and is_present(p)]
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
