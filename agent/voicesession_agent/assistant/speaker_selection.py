"""Whom the assistant hears: it is linked to one human at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession

from voicesession_agent.job.humans import is_human


class SpeakerSelector:
    """Links the session to the human who is there, and of several to the one who speaks."""

    def __init__(
        self,
        room: rtc.Room,
        session: "AgentSession[Any]",
        welcome: Callable[[str], None],
        met: Callable[[str], None],
        there: Callable[[bool], None],
    ) -> None:
        """`welcome` is called for a human that it turns to because she is there, `met` because she speaks.

        `there` is told whenever it changes whether anybody is.
        """
        self._room = room
        self._session = session
        self._welcome = welcome
        self._met = met
        self._there = there
        self._linked = ""

    @property
    def linked(self) -> str:
        """The identity of the human it hears, or nothing."""
        return self._linked

    def start(self) -> None:
        self._room.on("participant_connected", self._changed)
        self._room.on("participant_disconnected", self._changed)
        self._room.on("participant_attributes_changed", self._changed)
        self._room.on("active_speakers_changed", self._turn_to)
        self._choose()

    async def close(self) -> None:
        self._room.off("participant_connected", self._changed)
        self._room.off("participant_disconnected", self._changed)
        self._room.off("participant_attributes_changed", self._changed)
        self._room.off("active_speakers_changed", self._turn_to)

    def _changed(self, *_: Any) -> None:
        self._choose()

    def _choose(self) -> None:
        """Keep to the linked human while she is there, else turn to whoever came first."""
        present = [p.identity for p in self._room.remote_participants.values() if is_human(p)]
        if self._linked in present:
            return
        was_alone, self._linked = not self._linked, ""
        if present:
            self._link(present[0])
            self._welcome(self._linked)
        if was_alone != (not present):
            self._there(bool(present))

    def _turn_to(self, speakers: Sequence[rtc.Participant]) -> None:
        """Turn to one who speaks while the linked human is silent; LiveKit lists the loudest first."""
        speaking = [p.identity for p in speakers if isinstance(p, rtc.RemoteParticipant) and is_human(p)]
        if speaking and self._linked not in speaking and self._session.user_state != "speaking":
            self._link(speaking[0])
            self._met(speaking[0])

    def _link(self, identity: str) -> None:
        self._linked = identity
        self._session.room_io.set_participant(identity)
