"""`voicesession talk`: one visit to one session."""

import asyncio
import contextlib
import json
import secrets
import signal
import string
import sys
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voicesession_cli.arguments import Talk
from voicesession_cli.errors import CommandError
from voicesession_cli.voice import audio as sound
from voicesession_cli.voice.audio import Samples
from voicesession_cli.voice.livekit_access import Cluster, human_token
from voicesession_cli.voice.person import Person, Reply
from voicesession_cli.voice.recognizer import Ear
from voicesession_cli.voice.transcript import Line


@dataclass
class Turn:
    """One utterance and its reply, as printed; `reply` is empty when none came."""

    said: str
    heard_by_agent: str = ""
    reply: str = ""
    latency: float | None = None
    seconds: float = 0.0
    heard: str | None = None

    def render(self) -> dict[str, Any]:
        return {
            "said": self.said,
            "heardByAgent": self.heard_by_agent,
            "reply": self.reply,
            "latencySeconds": None if self.latency is None else round(self.latency, 3),
            "replySeconds": round(self.seconds, 3),
            "heard": self.heard,
        }


@dataclass
class Report:
    """Collects the whole visit; `quiet` prints nothing on the way, for JSON output."""

    session: str
    room: str
    identity: str
    agent_name: str
    quiet: bool
    agent: dict[str, str] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    error: str = ""
    _open: Line | None = None

    def note(self, text: str) -> None:
        """Progress for people; on stderr, so that stdout holds only what was said."""
        self._finish_line()
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def words(self, line: Line, words: str) -> None:
        """Print the agent's words as they come, and what it understood of ours once that is final."""
        if self.quiet:
            return
        if line.speaker == self.identity:
            if line.final and not words:
                self._finish_line()
                print(f"{self.agent_name} heard: {line.text}", flush=True)
            return
        if words and self._open is not line:
            self._finish_line()
            print(f"{self.agent_name}: ", end="")
            self._open = line
        print(words, end="", flush=True)
        if not words and self._open is line:
            self._finish_line()

    def begin_turn(self, said: str) -> Turn:
        """Announce and return a turn that has no reply yet."""
        self.turns.append(Turn(said))
        self.note(f"you: {said}")
        return self.turns[-1]

    def heard(self, turn: Turn, heard: str) -> None:
        turn.heard = heard
        if not self.quiet:
            print(f"independent ear: {heard}", flush=True)

    def finish(self) -> None:
        self._finish_line()
        if self.quiet:
            print(json.dumps(self.render(), indent=2))

    def render(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "room": self.room,
            "identity": self.identity,
            "agent": self.agent,
            "turns": [turn.render() for turn in self.turns],
            "error": self.error or None,
        }

    def _finish_line(self) -> None:
        if self._open is not None:
            print(flush=True)
            self._open = None


AGENT_SECONDS: Final = 15
GREETING_SECONDS: Final = 5
"""How long a greeting may take to start; one that starts is heard to its end."""
NO_GREETING_SECONDS: Final = 0.5
PAUSE: Final = np.zeros(sound.HEARD_RATE // 2, np.int16)


async def talk(options: Talk) -> None:
    """Raises CommandError for whatever ends the visit early; what was said until then is printed all the same."""
    utterances = _utterances(options)
    ear = Ear() if options.listen else None
    cluster = await asyncio.to_thread(Cluster, options.context)
    session = await asyncio.to_thread(cluster.ready_session, options.session, options.namespace, options.ready_timeout)
    key = await asyncio.to_thread(cluster.livekit_key)
    greets = await asyncio.to_thread(cluster.agent_greets, session)
    identity = options.identity or "person-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(6))
    report = Report(f"{session.namespace}/{session.name}", session.room, identity, session.agent, options.json_output)
    person = Person(identity, report.words)
    token = human_token(key.key, key.secret, session.room, identity, options.name)
    await person.join(options.url or session.url, token)
    try:
        replies = await _visit(person, options, utterances, greets, report)
    finally:
        await person.leave()
    await _after(options, ear, replies, report)
    if report.error:
        raise CommandError(report.error)


def _utterances(options: Talk) -> list[tuple[str, Samples]]:
    if options.wav:
        return [(str(options.wav), sound.read_wav(options.wav))]
    return [(text, sound.speak(text)) for text in options.say]


async def _visit(
    person: Person, options: Talk, utterances: list[tuple[str, Samples]], greets: bool, report: Report
) -> list[Reply]:
    report.note(f"in the room {report.room} of {report.session} as {person.identity}")
    replies: list[Reply] = []
    try:
        if utterances:
            await person.wait_for_agent(AGENT_SECONDS)
            _introduce(person, report)
            await person.wait_for_quiet(GREETING_SECONDS if greets else NO_GREETING_SECONDS)
        for text, samples in utterances:
            turn = report.begin_turn(text)
            replies.append(await person.say(samples, within=options.reply_timeout))
            _fill(turn, replies[-1], report)
    except CommandError as error:
        report.error = str(error)
    await _linger(person, options.linger)
    return replies


def _introduce(person: Person, report: Report) -> None:
    for agent in person.agents[:1]:
        report.agent = {"identity": agent.identity, "sid": agent.sid, "name": agent.name}
        report.agent_name = agent.name or agent.identity


def _fill(turn: Turn, reply: Reply, report: Report) -> None:
    turn.heard_by_agent, turn.reply = reply.heard_by_agent, reply.words
    turn.latency, turn.seconds = reply.latency, reply.seconds
    report.note(f"  end of speech to first audio: {reply.latency * 1000:.0f} ms")


async def _linger(person: Person, seconds: float) -> None:
    """Stay; SIGTERM and SIGINT cut it short and the leaving is still polite."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(person.gone.wait())]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _after(options: Talk, ear: Ear | None, replies: list[Reply], report: Report) -> None:
    """Once nobody is in the room any more: the ear would starve the microphone."""
    if ear:
        for turn, reply in zip(report.turns, replies, strict=False):
            report.heard(turn, await asyncio.to_thread(ear.hear, reply.audio))
    if options.save and replies:
        sound.save_wav(options.save, np.concatenate([part for r in replies for part in (r.audio, PAUSE)]))
    report.finish()
