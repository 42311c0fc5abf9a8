"""The child process of speaker.py: reads commands as JSON lines and answers each with one JSON line."""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import numpy as np
from livekit import rtc
from voicesession_cli.errors import CommandError
from voicesession_cli.voice import audio as sound
from voicesession_cli.voice.audio import Samples
from voicesession_cli.voice.participant import HumanParticipant, Reply
from voicesession_cli.voice.recognizer import SpeechRecognizer

from tests.support.participants.transcript_match import has_words, misheard

NOT_IN_ROOM = "not in the room"
GREETING_STARTS_SECONDS = 5
CHORD_HERTZ = (220.0, 277.2, 329.6)
BEATS_PER_SECOND = 2.0
MUSIC_AMPLITUDE = 3000
Fields = dict[str, Any]


class SpeakerCommands:
    """The commands of one human, by method name; arguments and results are JSON objects."""

    def __init__(self) -> None:
        self._participant: HumanParticipant | None = None
        self._recordings: list[Samples | None] = []
        self._recognizer: SpeechRecognizer | None = None

    async def join(self, command: Fields) -> Fields:
        """Join the room."""
        participant = HumanParticipant(command["identity"])
        await participant.join(command["url"], command["token"])
        self._participant = participant
        return {"at": time.time()}

    async def wait_for_agent(self, command: Fields) -> Fields:
        """Wait for an agent's audio."""
        participant = self._in_room()
        await participant.wait_for_agent(command["seconds"])
        return {"sid": participant.agents[0].sid if participant.agents else ""}

    async def wait_for_greeting(self, _: Fields) -> Fields:
        """Wait until a greeting ends."""
        return {"greeted": await self._in_room().wait_for_quiet(GREETING_STARTS_SECONDS)}

    async def say(self, command: Fields) -> Fields:
        """Say a sentence, and once more if the rules of Speaker.say() allow it."""
        utterance, keywords = sound.synthesize(command["sentence"]), command["keywords"]
        reply, heard = await self._say_once(utterance, command["within"])
        if reply and has_words(reply.words, *keywords):
            return self._answer(reply)
        mistakes = int(misheard(command["sentence"], heard))
        may_repeat = mistakes or (command["repeat_unanswered"] and reply is None)
        if not (command["may_repeat"] and may_repeat):
            return self._answer(reply, mistakes=mistakes)
        second, heard = await self._say_once(utterance, command["within"])
        if not (second and has_words(second.words, *keywords)):
            mistakes += misheard(command["sentence"], heard)
        return self._answer(second or reply, repeated=True, mistakes=mistakes)

    async def wait_for_speech(self, command: Fields) -> Fields:
        """Wait for unprompted speech of the agent."""
        participant, began = self._in_room(), time.perf_counter()
        spoke = await participant.wait_for_quiet(command["within"])
        return self._answer(participant.reply(began, began) if spoke else None)

    async def wait(self, command: Fields) -> Fields:
        """Wait without speaking."""
        await asyncio.sleep(command["seconds"])
        return {}

    async def play_music(self, command: Fields) -> Fields:
        """Play music; an answer to it is possible, but not wanted."""
        await self._say_once(_music(command["seconds"]), within=1.0)
        return {}

    async def leave(self, _: Fields) -> Fields:
        """Leave the room."""
        at = time.time()
        participant, self._participant = self._participant, None
        if participant:
            await participant.leave()
        return {"at": at}

    async def transcribe(self, _: Fields) -> Fields:
        """Transcribe all recorded answers."""
        if self._recognizer is None:
            self._recognizer = await asyncio.to_thread(SpeechRecognizer)
        recordings = self._recordings
        return {"transcripts": [self._recognizer.transcribe(r) if r is not None else "" for r in recordings]}

    def _answer(self, reply: Reply | None, *, repeated: bool = False, mistakes: int = 0) -> Fields:
        """Record the reply's audio and return the fields of an Answer."""
        self._recordings.append(reply.audio if reply else None)
        return {
            "transcript": reply.words if reply else "",
            "heard_by_agent": reply.heard_by_agent if reply else "",
            "latency": reply.latency if reply else 0.0,
            "repeated": repeated,
            "misheard": mistakes,
        }

    async def _say_once(self, utterance: Samples, within: float) -> tuple[Reply | None, str]:
        """Return the reply, or None if there was none, and the agent's transcript; raise if the room ended."""
        participant, began = self._in_room(), time.perf_counter()
        try:
            reply = await participant.say(utterance, within=within)
        except CommandError:
            if participant.disconnected.is_set():
                raise
            reply = None
        return reply, participant.transcript.text_of(participant.identity, began)

    def _in_room(self) -> HumanParticipant:
        if self._participant is None:
            raise CommandError(NOT_IN_ROOM)
        return self._participant


def _music(seconds: float) -> Samples:
    """Return chords with a beat, as loud as a voice, which is no speech."""
    times = np.arange(int(seconds * sound.MICROPHONE_RATE)) / sound.MICROPHONE_RATE
    chord = sum(np.sin(2 * np.pi * pitch * times) for pitch in CHORD_HERTZ)
    beat = 0.5 + 0.5 * np.cos(2 * np.pi * BEATS_PER_SECOND * times)
    return sound.utterance((MUSIC_AMPLITUDE * beat * chord).astype(np.int16), sound.MICROPHONE_RATE)


async def run_commands() -> None:
    """Execute commands until standard input ends."""
    commands, loop = SpeakerCommands(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = await getattr(commands, command.pop("command"))(command)
        except (CommandError, rtc.ConnectError, TimeoutError) as error:
            answer = {"error": str(error) or type(error).__name__}
        print(json.dumps(answer), flush=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(commands.leave({}), 5)


if __name__ == "__main__":
    asyncio.run(run_commands())
