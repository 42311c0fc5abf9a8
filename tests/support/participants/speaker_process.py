"""The child's side of guest.py: orders come as JSON lines on standard input, each is answered by one line."""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from livekit import rtc
from voicesession_cli.errors import CommandError
from voicesession_cli.voice import audio as sound
from voicesession_cli.voice.audio import Samples
from voicesession_cli.voice.participant import HumanParticipant, Reply
from voicesession_cli.voice.recognizer import SpeechRecognizer

from tests.support.participants.transcript_match import has_words, misheard

NOBODY = "not in the room"
Order = dict[str, Any]
Told = dict[str, Any]


class Life:
    """One person, in the room or out of it."""

    def __init__(self) -> None:
        self._person: HumanParticipant | None = None
        self._recordings: list[Samples | None] = []
        self._ear: SpeechRecognizer | None = None

    async def come(self, order: Order) -> Told:
        person = HumanParticipant(order["identity"])
        await person.join(order["url"], order["token"])
        self._person = person
        return {"at": time.time()}

    async def meet(self, order: Order) -> Told:
        person = self._speaker()
        await person.wait_for_agent(order["seconds"])
        return {"sid": person.agents[0].sid if person.agents else ""}

    async def quiet(self, _: Order) -> Told:
        return {"greeted": await self._speaker().wait_for_quiet(5)}

    async def say(self, order: Order) -> Told:
        """Up to `tries` times, until the answer has the wanted words."""
        text, utterance, reply, tried, mistaken = order["text"], sound.synthesize(order["text"]), None, 0, 0
        while tried < order["tries"] and not (reply and has_words(reply.words, *order["wanted"])):
            began = time.perf_counter()
            reply = await self._once(utterance, order["within"]) or reply
            if not (reply and has_words(reply.words, *order["wanted"])):
                mistaken += misheard(text, self._speaker().transcript.text_of(self._speaker().identity, began))
            tried += 1
        return self._told(reply, repeated=tried > 1, misheard=mistaken)

    async def hear(self, order: Order) -> Told:
        """What the agent says of itself."""
        person, began = self._speaker(), time.perf_counter()
        spoke = await person.wait_for_quiet(order["within"])
        reply = person.reply(began, began) if spoke else None
        return self._told(reply, repeated=False, misheard=0)

    async def stay(self, order: Order) -> Told:
        await asyncio.sleep(order["seconds"])
        return {}

    async def leave(self, _: Order) -> Told:
        at = time.time()
        person, self._person = self._person, None
        if person:
            await person.leave()
        return {"at": at}

    async def listen(self, _: Order) -> Told:
        if self._ear is None:
            self._ear = await asyncio.to_thread(SpeechRecognizer)
        return {"heard": [self._ear.transcribe(audio) if audio is not None else "" for audio in self._recordings]}

    def _told(self, reply: Reply | None, *, repeated: bool, misheard: int) -> Told:
        self._recordings.append(reply.audio if reply else None)
        return {
            "words": reply.words if reply else "",
            "heard_by_agent": reply.heard_by_agent if reply else "",
            "latency": reply.latency if reply else 0.0,
            "repeated": repeated,
            "misheard": misheard,
        }

    async def _once(self, utterance: Samples, within: float) -> Reply | None:
        """None when nothing was heard; what ends the visit itself is raised."""
        person = self._speaker()
        try:
            return await person.say(utterance, within=within)
        except CommandError:
            if person.disconnected.is_set():
                raise
            return None

    def _speaker(self) -> HumanParticipant:
        if self._person is None:
            raise CommandError(NOBODY)
        return self._person


async def live() -> None:
    """Until standard input ends."""
    life, loop = Life(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        try:
            told = await getattr(life, order.pop("do"))(order)
        except (CommandError, rtc.ConnectError, TimeoutError) as error:
            told = {"error": str(error) or type(error).__name__}
        print(json.dumps(told), flush=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(life.leave({}), 5)


if __name__ == "__main__":
    asyncio.run(live())
