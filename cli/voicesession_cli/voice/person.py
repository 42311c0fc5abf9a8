"""A headless human in a LiveKit room: an open microphone, ears, and a memory of who said what."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from livekit import rtc

from voicesession_cli.errors import CommandError
from voicesession_cli.voice.audio import Microphone, Recorder, Samples
from voicesession_cli.voice.transcript import OnWords, Transcript

JOIN_SECONDS: Final = 20
POLL_SECONDS: Final = 0.02
LEAD_SECONDS: Final = 0.3
"""Kept before the first and after the last audible moment of a reply, so that the ear gets whole words."""


@dataclass(frozen=True)
class Reply:
    """What came back for one utterance."""

    audio: Samples
    """16 kHz mono."""
    latency: float
    """Seconds from the last spoken sample leaving the microphone to the first audible audio of the agent."""
    seconds: float
    """How long the agent was audible."""
    words: str
    """The agent's own transcript of it."""
    heard_by_agent: str
    """What the agent understood, from the transcript it publishes for the human."""


class Person:
    """Joins once, may speak many turns, leaves once. Everything runs in the event loop that called join()."""

    def __init__(self, identity: str, on_words: OnWords | None = None) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.transcript = Transcript(on_words)
        self.recorder = Recorder()
        self.gone = asyncio.Event()
        """Set when the room is over for this person, by her own leaving or anyone else's doing."""
        self.gone_reason = ""
        self._microphone = Microphone()
        self._agent_here = asyncio.Event()

    async def join(self, url: str, token: str) -> None:
        """Connect and open the microphone. Raises CommandError when LiveKit does not let her in."""
        self.transcript.listen(self.room)
        self.room.on("track_subscribed", self._subscribed)
        self.room.on("disconnected", self._disconnected)
        try:
            await asyncio.wait_for(self.room.connect(url, token), JOIN_SECONDS)
        except (rtc.ConnectError, TimeoutError) as error:
            raise CommandError(_why_not_in(url, error)) from error
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(self._microphone.track, options)
        self._microphone.open()

    @property
    def agents(self) -> list[rtc.RemoteParticipant]:
        """The agents in the room at this moment."""
        return [p for p in self.room.remote_participants.values() if _is_agent(p)]

    async def wait_for_agent(self, seconds: float) -> None:
        """Until an agent's audio is received. Raises CommandError after that many seconds, or when the room ends."""
        if not await self._within(seconds, self._agent_here):
            raise CommandError(f"no agent can be heard in the room after {seconds:.0f} s{self._end_note()}")

    async def wait_for_quiet(self, start_within: float, quiet: float = 1.0, end_within: float = 30) -> bool:
        """Let a greeting finish: False when the agent said nothing within `start_within` seconds."""
        begin = time.perf_counter()
        while (first := self.recorder.first_audible(begin)) is None:
            if time.perf_counter() - begin > start_within or self.gone.is_set():
                return False
            await asyncio.sleep(POLL_SECONDS)
        await self._until_quiet(first, quiet, begin + end_within)
        return True

    async def say(self, utterance: Samples, quiet: float = 1.0, within: float = 30) -> Reply:
        """Speak 48 kHz samples and wait for the reply: until it starts, and then until `quiet` seconds of silence.

        Raises CommandError when nothing is heard `within` seconds, or when the room ends.
        """
        began = time.perf_counter()
        ended = await self._microphone.say(utterance)
        first = await self._first_audible(ended, ended + within)
        await self._until_quiet(first, quiet, ended + within)
        return self.reply(began, ended)

    def reply(self, began: float, ended: float) -> Reply:
        """What has been heard since she ended, and was written since she began, by time.perf_counter()."""
        first = self.recorder.first_audible(ended) or ended
        last = self.recorder.last_audible or first
        return Reply(
            audio=self.recorder.between(first - LEAD_SECONDS, last + LEAD_SECONDS),
            latency=first - ended,
            seconds=last - first,
            words=" ".join(filter(None, (self.transcript.text_of(a.identity, began) for a in self.agents))),
            heard_by_agent=self.transcript.text_of(self.identity, began),
        )

    async def leave(self) -> None:
        """Leave politely (LiveKit tells the others at once) and stop every task."""
        await self._microphone.close()
        await self.recorder.close()
        await self.transcript.close()
        await self.room.disconnect()

    async def _first_audible(self, since: float, deadline: float) -> float:
        while (first := self.recorder.first_audible(since)) is None:
            if time.perf_counter() > deadline or self.gone.is_set():
                raise CommandError(f"no reply within {deadline - since:.0f} s{self._end_note()}")
            await asyncio.sleep(POLL_SECONDS)
        return first

    async def _until_quiet(self, first: float, quiet: float, deadline: float) -> float:
        """The last audible moment, known once `quiet` seconds have passed since."""
        while True:
            last = self.recorder.last_audible or first
            now = time.perf_counter()
            if now - last > quiet or now > deadline or self.gone.is_set():
                return last
            await asyncio.sleep(POLL_SECONDS)

    async def _within(self, seconds: float, wanted: asyncio.Event) -> bool:
        """Whether the event came before the time was up and before the room ended."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (wanted, self.gone)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return wanted.is_set() and not self.gone.is_set()

    def _subscribed(self, track: rtc.Track, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(who):
            self.recorder.record(track)
            self._agent_here.set()

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.gone_reason = rtc.DisconnectReason.Name(reason)
        self.gone.set()

    def _end_note(self) -> str:
        return f" (the room has ended: {self.gone_reason})" if self.gone.is_set() else ""


def _is_agent(participant: rtc.Participant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


def _why_not_in(url: str, error: Exception) -> str:
    text = str(error) or f"no answer within {JOIN_SECONDS} s"
    if "404" in text:
        return f"LiveKit at {url} has no such room: the session may just have ended"
    if "401" in text or "403" in text:
        return f"LiveKit at {url} does not accept the key: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET to its own"
    return f"cannot reach LiveKit at {url}: use --url with an address that this machine can reach ({text})"
