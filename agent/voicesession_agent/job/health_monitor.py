"""The job's side of its health: what the room and the session show of it, told to the supervisor every second."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import AgentSession

from voicesession_agent.health.diagnosis import BEAT_SECONDS, HealthReport
from voicesession_agent.health.probes import DeafProbe, DisconnectedProbe, MuteProbe, ProviderProbe
from voicesession_agent.job.humans import is_human
from voicesession_agent.job.supervisor_client import SupervisorClient

log = logging.getLogger(__name__)


class HealthMonitor:
    """Beats from the job's own event loop, so that one that is blocked sends none.

    `session` finds the session of whoever wrote the agent, once there is one: its errors are counted, and `found` gets
    it. Whether it is deaf or mute is asked only of a session given to `attend`: others may be meant to be.
    """

    def __init__(
        self,
        room: rtc.Room,
        link: SupervisorClient,
        session: Callable[[], "AgentSession[Any] | None"],
        found: Callable[["AgentSession[Any]"], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._link = link
        self._session = session
        self._found = found
        self._clock = clock
        self._watched: AgentSession[Any] | None = None
        self._attended = False
        self._linked: Callable[[], str] = str
        self._asking: Callable[[], bool] = bool
        self._speaking: set[str] = set()
        self._unheard = DeafProbe()
        self._inaudible = MuteProbe()
        self._lost = DisconnectedProbe()
        self._failures = ProviderProbe()
        self._muted: set[str] = set()
        room.on("active_speakers_changed", self._speakers)
        room.on("participant_disconnected", self._gone)
        room.on("connection_state_changed", self._connection)
        room.on("track_muted", lambda who, publication: self._mute(who, publication, muted=True))
        room.on("track_unmuted", lambda who, publication: self._mute(who, publication, muted=False))

    def attend(
        self, session: "AgentSession[Any]", linked: Callable[[], str], asking: Callable[[], bool] = bool
    ) -> None:
        """Ask whether this session, from before its start, hears the human that `linked` names and is heard by LiveKit.

        `asking` tells whether what it says now is only its question to somebody who is silent.
        """
        self._linked, self._asking = linked, asking
        self._attended = True
        session.on("agent_state_changed", lambda event: self._agent(event.new_state))

    async def run(self) -> None:
        while True:
            self._watch()
            try:
                await self._link.beat(self.vitals())
            except (aiohttp.ClientError, TimeoutError):
                log.warning("a beat was lost", extra={"event": "report_lost"})
            await asyncio.sleep(BEAT_SECONDS)

    def vitals(self) -> HealthReport:
        now = self._clock()
        return HealthReport(
            speaking=bool(self._speaking) or self._agent_speaks(),
            unheard=self._unheard.seconds(now) if self._attended else 0.0,
            inaudible=self._inaudible.seconds(now),
            muted=self._attended and bool(self._muted),
            lost=self._lost.seconds(now),
            failing=self._failures.role(),
            failed=self._failures.some,
        )

    def _agent_speaks(self) -> bool:
        """Its question to people who are silent is none: it would keep them for ever."""
        session = self._watched
        return session is not None and session.agent_state == "speaking" and not self._asking()

    def _watch(self) -> None:
        session = self._session()
        if session is None or session is self._watched:
            return
        self._watched = session
        session.on("error", self._error)
        session.on("close", self._closed)
        session.on("user_input_transcribed", self._transcribed)
        session.on("agent_state_changed", self._worked)
        self._found(session)

    def _speakers(self, speakers: Sequence[rtc.Participant]) -> None:
        now = self._clock()
        self._speaking = {p.identity for p in speakers if isinstance(p, rtc.RemoteParticipant) and is_human(p)}
        self._listen(now)
        self._inaudible.listed(any(p.identity == self._room.local_participant.identity for p in speakers), now)

    def _gone(self, participant: rtc.RemoteParticipant) -> None:
        """Who leaves in mid-sentence may never be taken off the list of speakers."""
        self._speaking.discard(participant.identity)
        self._listen(self._clock())

    def _listen(self, now: float) -> None:
        """A session that has linked nobody though people speak has never started: whoever it is goes unheard."""
        linked = self._linked()
        self._unheard.speaks(linked, linked in self._speaking if linked else bool(self._speaking), now)

    def _connection(self, state: "rtc.ConnectionState.ValueType") -> None:
        self._lost.connected(state != rtc.ConnectionState.CONN_RECONNECTING, self._clock())

    def _mute(self, who: rtc.Participant, publication: rtc.TrackPublication, *, muted: bool) -> None:
        if who.identity != self._room.local_participant.identity or publication.kind != rtc.TrackKind.KIND_AUDIO:
            return
        if muted:
            self._muted.add(publication.sid)
        else:
            self._muted.discard(publication.sid)

    def _agent(self, state: str) -> None:
        self._inaudible.speaks(state == "speaking", self._clock())

    def _error(self, event: Any) -> None:
        if not getattr(event.error, "recoverable", True):
            self._failures.failed(event.error.type)

    def _closed(self, event: Any) -> None:
        if event.error is not None:
            self._failures.closed(event.error.type)

    def _transcribed(self, event: Any) -> None:
        if event.transcript:
            self._unheard.heard(self._clock())
            self._failures.worked("stt")

    def _worked(self, event: Any) -> None:
        """As AgentSession itself counts: an agent that speaks had both."""
        if event.new_state == "speaking":
            self._failures.worked("llm", "tts")
