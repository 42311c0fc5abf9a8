"""The job's side of health detection: room and session events become one health report a second."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import aiohttp
from livekit import rtc
from livekit.agents import AgentSession, APIError, io

from voicesession_agent.health.diagnosis import BEAT_SECONDS, HealthReport
from voicesession_agent.health.probes import (
    DeafProbe,
    DisconnectedProbe,
    MuteProbe,
    ProviderProbe,
    describe_failure,
    provider_name,
)
from voicesession_agent.job.humans import RecentSpeakers, is_call_unanswered, is_human
from voicesession_agent.job.supervisor_client import SupervisorClient

DEFAULT_ERRORS: Final = 3
"""Failed turns after which a session closes itself, unless its author chooses a number (livekit-agents 1.8.9)."""
log = logging.getLogger(__name__)


class HealthMonitor:
    """Sends heartbeats from the job's own event loop, so that a blocked loop sends none.

    `can_join` returns whether LiveKit would let another job join now; it is called while the connection is lost.
    `find_session` returns the entry point's session as soon as it exists; its errors are counted, and `on_session`
    receives it. The deaf and mute probes apply only to a session given to `watch_speech`: an entry point of a user may
    be deaf or mute on purpose.
    """

    def __init__(
        self,
        room: rtc.Room,
        client: SupervisorClient,
        can_join: Callable[[], Awaitable[bool]],
        find_session: Callable[[], "AgentSession[Any] | None"],
        on_session: Callable[["AgentSession[Any]"], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._client = client
        self._can_join = can_join
        self._find_session = find_session
        self._on_session = on_session
        self._clock = clock
        self._session: AgentSession[Any] | None = None
        self._watches_speech = False
        self._is_prompting: Callable[[], bool] = bool
        self._speakers = RecentSpeakers()
        self._is_human_speaking = False
        self._deaf = DeafProbe()
        self._mute = MuteProbe()
        self._disconnected = DisconnectedProbe()
        self._connected = True
        self._provider = ProviderProbe()
        self._muted: set[str] = set()
        room.on("active_speakers_changed", self._on_active_speakers_changed)
        room.on("participant_disconnected", self._on_participant_disconnected)
        room.on("connection_state_changed", self._on_connection_state_changed)
        room.on("track_muted", lambda owner, publication: self._on_track_muted(owner, publication, muted=True))
        room.on("track_unmuted", lambda owner, publication: self._on_track_muted(owner, publication, muted=False))

    def watch_speech(self, session: "AgentSession[Any]", is_prompting: Callable[[], bool] = bool) -> None:
        """Probe whether this session hears its human; call it before the session starts.

        `is_prompting` returns whether the agent's current speech is only the idle prompt.
        """
        self._is_prompting = is_prompting
        self._watches_speech = True
        session.on("user_state_changed", lambda event: self._deaf.speaks(event.new_state == "speaking", self._clock()))

    def watch_playback(self, session: "AgentSession[Any]") -> None:
        """Probe whether the room plays the speech of this session; call it once the session has started."""
        if session.output.audio is not None:
            session.output.audio = PlaybackMeter(session.output.audio, self._mute, self._clock)

    async def run(self) -> None:
        """Send heartbeats until canceled."""
        while True:
            self._watch_session()
            await self._check_connection()
            try:
                await self._client.send_heartbeat(self.report())
            except (aiohttp.ClientError, TimeoutError):
                log.warning("a heartbeat was lost", extra={"event": "report_lost"})
            await asyncio.sleep(BEAT_SECONDS)

    def report(self) -> HealthReport:
        """Return the present health report."""
        now = self._clock()
        return HealthReport(
            speaking=self._human_speaks(now) or self._agent_speaks(),
            unheard=self._deaf.seconds(now) if self._watches_speech else 0.0,
            inaudible=self._mute.seconds(now),
            muted=self._watches_speech and bool(self._muted),
            lost=self._disconnected.seconds,
            failing=self._provider.failing(),
            broken=self._provider.is_broken,
            failed=self._provider.has_failure,
        )

    async def _check_connection(self) -> None:
        can_join = not self._connected and await self._can_join()
        self._disconnected.tick(self._connected, can_join, self._clock())

    def _human_speaks(self, now: float) -> bool:
        """Return whether a human speaks, by voice detection; a user's own session may have none."""
        return self._is_human_speaking or (not self._watches_speech and bool(self._speakers.recent(now)))

    def _agent_speaks(self) -> bool:
        """Return whether the agent speaks. The idle prompt does not count, else it would keep a session alive."""
        session = self._session
        return session is not None and session.agent_state == "speaking" and not self._is_prompting()

    def _watch_session(self) -> None:
        session = self._find_session()
        if session is None or session is self._session:
            return
        self._session = session
        _keep_open(session)
        session.on("error", self._on_error)
        session.on("close", self._on_close)
        session.on("user_input_transcribed", self._on_transcribed)
        session.on("user_state_changed", self._on_user_state_changed)
        session.on("agent_state_changed", self._on_agent_state_changed)
        self._on_session(session)

    def _on_active_speakers_changed(self, speakers: Sequence[rtc.Participant]) -> None:
        heard = [p.identity for p in speakers if isinstance(p, rtc.RemoteParticipant) and _is_heard(p)]
        self._speakers.changed(heard, self._clock())

    def _on_participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        self._speakers.forget(participant.identity)
        self._interrupt_speech()

    def _interrupt_speech(self) -> None:
        """Stop the count: after a departure or a muting in mid-sentence, voice detection may not see the end."""
        self._is_human_speaking = False
        self._deaf.interrupted()

    def _on_connection_state_changed(self, state: "rtc.ConnectionState.ValueType") -> None:
        self._connected = state != rtc.ConnectionState.CONN_RECONNECTING

    def _on_track_muted(self, owner: rtc.Participant, publication: rtc.TrackPublication, *, muted: bool) -> None:
        if publication.kind != rtc.TrackKind.KIND_AUDIO:
            return
        if owner.identity != self._room.local_participant.identity:
            self._interrupt_speech()
        elif muted:
            self._muted.add(publication.sid)
        else:
            self._muted.discard(publication.sid)

    def provider_failed(self, role: str, label: str, cause: str) -> None:
        """Count a failed turn that raised no error; `label` is livekit-agents' label of the engine."""
        self._provider.failed(role, f"{provider_name(label)}: {cause}")

    def provider_succeeded(self, role: str) -> None:
        """Take a success of the role in a session given to `watch_speech`."""
        self._provider.succeeded(role)

    def _on_error(self, event: Any) -> None:
        error = event.error
        cause = describe_failure(error.label, error.error)
        if error.type == "stt_error":
            self._deaf.heard()
        if getattr(error, "recoverable", True):
            self._provider.attempt_failed(error.type, cause)
        elif error.type == "stt_error" and not isinstance(error.error, APIError):
            # livekit-agents opens a recognizer again after an APIError only
            self._provider.broken(error.type, cause)
        else:
            self._provider.failed(error.type, cause)

    def _on_close(self, event: Any) -> None:
        if event.error is not None:
            self._provider.broken(event.error.type, describe_failure(event.error.label, event.error.error))

    def _on_user_state_changed(self, event: Any) -> None:
        self._is_human_speaking = event.new_state == "speaking"

    def _on_transcribed(self, event: Any) -> None:
        if event.transcript:
            self._deaf.heard()
            self._provider.succeeded("stt")

    def _on_agent_state_changed(self, event: Any) -> None:
        """Count as AgentSession does: an agent that speaks had an answer of both the model and the voice.

        The assistant also speaks without an answer, so it reports the successes of its providers itself.
        """
        if event.new_state == "speaking" and not self._watches_speech:
            self._provider.succeeded("llm", "tts")


class PlaybackMeter(io.AudioOutput):
    """Passes the agent's sound on to the room's output, and measures its playback for the probe."""

    def __init__(self, output: io.AudioOutput, probe: MuteProbe, clock: Callable[[], float]) -> None:
        super().__init__(
            label="PlaybackMeter",
            capabilities=io.AudioOutputCapabilities(pause=True),
            next_in_chain=output,
            sample_rate=output.sample_rate,
        )
        self._output = self.next_in_chain or output
        self._probe = probe
        self._clock = clock

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Hand a frame over. The output waits here as long as nobody in the room has subscribed to it."""
        await super().capture_frame(frame)
        await self._output.capture_frame(frame)
        self._probe.handed_over(frame.duration, self._clock())

    def flush(self) -> None:
        """Mark the end of a segment."""
        super().flush()
        self._output.flush()
        self._probe.flushed(self._clock())

    def clear_buffer(self) -> None:
        """Drop the rest of a segment. The output reports no end of a segment that it has not begun to play."""
        self._output.clear_buffer()
        self._probe.finished(self._clock())

    def pause(self) -> None:
        """Hold the playback."""
        super().pause()
        self._probe.paused(True, self._clock())

    def resume(self) -> None:
        """Let the playback go on."""
        super().resume()
        self._probe.paused(False, self._clock())

    def on_playback_started(self, *, created_at: float) -> None:
        """Take the output's report."""
        self._probe.started(self._clock())
        super().on_playback_started(created_at=created_at)

    def on_playback_finished(
        self, *, playback_position: float, interrupted: bool, synchronized_transcript: str | None = None
    ) -> None:
        """Take the output's report."""
        self._probe.finished(self._clock())
        super().on_playback_finished(
            playback_position=playback_position,
            interrupted=interrupted,
            synchronized_transcript=synchronized_transcript,
        )


def _keep_open(session: "AgentSession[Any]") -> None:
    """Let the session survive any number of failed turns, unless its author chose a number.

    A session that closes itself forgets the conversation, and another one has the same providers.
    """
    if session.conn_options.max_unrecoverable_errors == DEFAULT_ERRORS:
        session.conn_options.max_unrecoverable_errors = sys.maxsize


def _is_heard(participant: rtc.RemoteParticipant) -> bool:
    """Return whether the session has to hear this participant; the dial tone of a ringing phone is no speech."""
    return is_human(participant) and not is_call_unanswered(participant)
