"""A headless human in a LiveKit room: microphone, recorder and transcript."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from livekit import rtc

from voicesession_cli.errors import CommandError
from voicesession_cli.voice.audio import AudioRecorder, Microphone, Samples
from voicesession_cli.voice.transcript import OnWords, Transcript

JOIN_SECONDS: Final = 20
POLL_SECONDS: Final = 0.02
MARGIN_SECONDS: Final = 0.3
"""Kept before the first and after the last audible moment of a reply, so that a recognizer gets whole words."""


@dataclass(frozen=True)
class Reply:
    """The agent's reply to one utterance."""

    audio: Samples
    """16 kHz mono."""
    latency: float
    """Seconds from the last spoken sample leaving the microphone to the first audible audio of the agent."""
    seconds: float
    """Duration of the agent's audible speech."""
    words: str
    """The agent's own transcript of its speech."""
    heard_by_agent: str
    """The transcript that the agent publishes for the human."""


class HumanParticipant:
    """Joins once, speaks any number of turns, leaves once; everything runs in the event loop that called join()."""

    def __init__(self, identity: str, on_words: OnWords | None = None) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.transcript = Transcript(on_words)
        self.recorder = AudioRecorder()
        self.joined = asyncio.Event()
        """Set when join() is complete."""
        self.disconnected = asyncio.Event()
        """Set when this participant has left the room, or was disconnected from it."""
        self.disconnect_reason = ""
        self._microphone = Microphone()
        self._agent_subscribed = asyncio.Event()

    async def join(self, url: str, token: str) -> None:
        """Connect and open the microphone. Raises CommandError if LiveKit refuses the connection."""
        self.transcript.listen(self.room)
        self.room.on("track_subscribed", self._on_track_subscribed)
        self.room.on("disconnected", self._on_disconnected)
        try:
            await asyncio.wait_for(self.room.connect(url, token), JOIN_SECONDS)
        except (rtc.ConnectError, TimeoutError) as error:
            raise CommandError(_join_error(url, error)) from error
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(self._microphone.track, options)
        self._microphone.open()
        self.joined.set()

    @property
    def agents(self) -> list[rtc.RemoteParticipant]:
        """The agents that are in the room now."""
        return [p for p in self.room.remote_participants.values() if _is_agent(p)]

    async def wait_for_agent(self, seconds: float) -> None:
        """Wait until an agent's audio is received. Raises CommandError on timeout, or when the room ends."""
        if not await self._within(seconds, self._agent_subscribed):
            raise CommandError(f"no audio of an agent in the room after {seconds:.0f} s{self._end_note()}")

    async def wait_for_quiet(self, start_within: float, quiet: float = 1.0, end_within: float = 30) -> bool:
        """Wait until a greeting has ended; return False if none started within `start_within` seconds."""
        begin = time.perf_counter()
        while (first := self.recorder.first_audible(begin)) is None:
            if time.perf_counter() - begin > start_within or self.disconnected.is_set():
                return False
            await asyncio.sleep(POLL_SECONDS)
        await self._until_quiet(first, quiet, begin + end_within)
        return True

    async def say(self, utterance: Samples, quiet: float = 1.0, within: float = 30) -> Reply:
        """Speak 48 kHz samples and return the reply, which ends with `quiet` seconds of silence.

        Raises CommandError if no reply is audible after `within` seconds, or when the room ends.
        """
        began = time.perf_counter()
        ended = await self._microphone.play(utterance)
        first = await self._first_audible(ended, ended + within)
        await self._until_quiet(first, quiet, ended + within)
        return self.reply(began, ended)

    def reply(self, began: float, ended: float) -> Reply:
        """Return the audio since the end and the transcripts since the start of the human's speech.

        Both moments are values of time.perf_counter().
        """
        first = self.recorder.first_audible(ended) or ended
        last = self.recorder.last_audible or first
        return Reply(
            audio=self.recorder.between(first - MARGIN_SECONDS, last + MARGIN_SECONDS),
            latency=first - ended,
            seconds=last - first,
            words=" ".join(filter(None, (self.transcript.text_of(a.identity, began) for a in self.agents))),
            heard_by_agent=self.transcript.text_of(self.identity, began),
        )

    async def leave(self) -> None:
        """Stop every task and leave the room, so that LiveKit notifies the others at once."""
        await self._microphone.close()
        await self.recorder.close()
        await self.transcript.close()
        await self.room.disconnect()

    async def _first_audible(self, since: float, deadline: float) -> float:
        while (first := self.recorder.first_audible(since)) is None:
            if time.perf_counter() > deadline or self.disconnected.is_set():
                raise CommandError(f"no reply within {deadline - since:.0f} s{self._end_note()}")
            await asyncio.sleep(POLL_SECONDS)
        return first

    async def _until_quiet(self, first: float, quiet: float, deadline: float) -> float:
        """Wait for `quiet` seconds of silence and return the last audible moment before them."""
        while True:
            last = self.recorder.last_audible or first
            now = time.perf_counter()
            if now - last > quiet or now > deadline or self.disconnected.is_set():
                return last
            await asyncio.sleep(POLL_SECONDS)

    async def _within(self, seconds: float, event: asyncio.Event) -> bool:
        """Return whether the event is set in time and before the room ends."""
        waiting = [asyncio.ensure_future(each.wait()) for each in (event, self.disconnected)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return event.is_set() and not self.disconnected.is_set()

    def _on_track_subscribed(
        self, track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(participant):
            self.recorder.record(track)
            self._agent_subscribed.set()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.disconnect_reason = rtc.DisconnectReason.Name(reason)
        self.disconnected.set()

    def _end_note(self) -> str:
        return f" (the room has ended: {self.disconnect_reason})" if self.disconnected.is_set() else ""


def _is_agent(participant: rtc.Participant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


def _join_error(url: str, error: Exception) -> str:
    text = str(error) or f"no answer within {JOIN_SECONDS} s"
    if "404" in text:
        return f"LiveKit at {url} has no such room: the session may just have ended"
    if "401" in text or "403" in text:
        return f"LiveKit at {url} does not accept the key: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET to its own"
    return f"cannot reach LiveKit at {url}: use --url with an address that this machine can reach ({text})"
