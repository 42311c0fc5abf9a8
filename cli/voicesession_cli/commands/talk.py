"""`voicesession talk`: join one session as a human, speak, and report the replies."""

import asyncio
import contextlib
import json
import secrets
import signal
import string
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from voicesession_common import JsonObject

from voicesession_cli.arguments import TalkArguments
from voicesession_cli.errors import CommandError
from voicesession_cli.voice import audio
from voicesession_cli.voice.audio import Samples
from voicesession_cli.voice.livekit_access import LiveKitAccess, human_token
from voicesession_cli.voice.participant import HumanParticipant, Reply
from voicesession_cli.voice.recognizer import SpeechRecognizer
from voicesession_cli.voice.transcript import TranscriptLine


@dataclass
class SpokenTurn:
    """One utterance and its reply, as printed; `reply` is empty without a reply."""

    said: str
    heard_by_agent: str = ""
    reply: str = ""
    latency: float | None = None
    seconds: float = 0.0
    heard: str | None = None

    def render(self) -> JsonObject:
        """Return the turn for JSON output."""
        return {
            "said": self.said,
            "heardByAgent": self.heard_by_agent,
            "reply": self.reply,
            "latencySeconds": None if self.latency is None else round(self.latency, 3),
            "replySeconds": round(self.seconds, 3),
            "heard": self.heard,
        }


@dataclass
class TalkReport:
    """The whole conversation; `quiet` suppresses progress output, for JSON."""

    session: str
    room: str
    identity: str
    agent_name: str
    quiet: bool
    agent: dict[str, str] = field(default_factory=dict)
    turns: list[SpokenTurn] = field(default_factory=list)
    error: str = ""
    _open: TranscriptLine | None = None

    def progress(self, text: str) -> None:
        """Print progress on stderr; stdout holds only the spoken words."""
        self._finish_line()
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def add_words(self, line: TranscriptLine, words: str) -> None:
        """Print the agent's words as they arrive, and its final transcript of the human's words."""
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

    def begin_turn(self, said: str) -> SpokenTurn:
        """Announce and return a turn without a reply."""
        self.turns.append(SpokenTurn(said))
        self.progress(f"you: {said}")
        return self.turns[-1]

    def add_recognized(self, turn: SpokenTurn, text: str) -> None:
        """Add and print the text that the independent recognizer understood."""
        turn.heard = text
        if not self.quiet:
            print(f"independent recognizer: {text}", flush=True)

    def finish(self) -> None:
        """End the open line, and print the JSON output."""
        self._finish_line()
        if self.quiet:
            print(json.dumps(self.render(), indent=2))

    def render(self) -> JsonObject:
        """Return the report for JSON output."""
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
"""Longest wait for the start of a greeting; a greeting that has started is played to its end."""
NO_GREETING_SECONDS: Final = 0.5
INTERRUPTED_JOIN_SECONDS: Final = 5
"""Time for a join to complete after a signal; LiveKit keeps a participant whose join is canceled for 20 s."""
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
PAUSE: Final = np.zeros(audio.RECEIVE_RATE // 2, np.int16)


async def talk(arguments: TalkArguments) -> None:
    """Hold the conversation and print it, even if it ends early. Raises CommandError for an early end."""
    utterances = _utterances(arguments)
    recognizer = SpeechRecognizer() if arguments.listen else None
    access = await asyncio.to_thread(LiveKitAccess, arguments.context)
    session = await asyncio.to_thread(
        access.ready_session, arguments.session, arguments.namespace, arguments.ready_timeout
    )
    key = await asyncio.to_thread(access.livekit_key)
    greets = await asyncio.to_thread(access.agent_greets, session)
    identity = arguments.identity or "person-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(6))
    label = f"{session.namespace}/{session.name}"
    report = TalkReport(label, session.room, identity, session.agent, arguments.json_output)
    human = HumanParticipant(identity, report.add_words)
    token = human_token(key.key, key.secret, session.room, identity, arguments.name)
    replies: list[Reply] = []

    async def visit() -> None:
        await human.join(arguments.url or session.url, token)
        try:
            await converse(human, arguments, utterances, greets, report, replies)
        finally:
            await human.leave()

    await run_until_signal(visit(), human.joined)
    if not human.joined.is_set():
        report.error = "a signal ended the join"
    await _finish(arguments, recognizer, replies, report)
    if report.error:
        raise CommandError(report.error)


def _utterances(arguments: TalkArguments) -> list[tuple[str, Samples]]:
    if arguments.wav:
        return [(str(arguments.wav), audio.read_wav(arguments.wav))]
    return [(text, audio.synthesize(text)) for text in arguments.say]


async def converse(
    human: HumanParticipant,
    arguments: TalkArguments,
    utterances: list[tuple[str, Samples]],
    greets: bool,
    report: TalkReport,
    replies: list[Reply],
) -> None:
    """Hold the conversation, and append each reply to `replies` when it ends.

    An early end is `report.error`; a canceled stay after the last reply is none.
    """
    report.progress(f"in the room {report.room} of {report.session} as {human.identity}")
    try:
        if utterances:
            await human.wait_for_agent(AGENT_SECONDS)
            _set_agent(human, report)
            await human.wait_for_quiet(GREETING_SECONDS if greets else NO_GREETING_SECONDS)
        for text, samples in utterances:
            turn = report.begin_turn(text)
            replies.append(await human.say(samples, within=arguments.reply_timeout))
            _set_reply(turn, replies[-1], report)
    except CommandError as error:
        report.error = str(error)
    except asyncio.CancelledError:
        report.error = "a signal ended the conversation early"
        raise
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(human.disconnected.wait(), arguments.linger)


def _set_agent(human: HumanParticipant, report: TalkReport) -> None:
    for agent in human.agents[:1]:
        report.agent = {"identity": agent.identity, "sid": agent.sid, "name": agent.name}
        report.agent_name = agent.name or agent.identity


def _set_reply(turn: SpokenTurn, reply: Reply, report: TalkReport) -> None:
    turn.heard_by_agent, turn.reply = reply.heard_by_agent, reply.words
    turn.latency, turn.seconds = reply.latency, reply.seconds
    report.progress(f"  end of speech to first audio: {reply.latency * 1000:.0f} ms")


async def run_until_signal(
    visit: Coroutine[Any, Any, None], joined: asyncio.Event, join_seconds: float = INTERRUPTED_JOIN_SECONDS
) -> None:
    """Run the visit of a participant; SIGTERM and SIGINT end it early, and the participant still leaves gracefully.

    A join that a signal interrupts may complete within `join_seconds`.
    """
    running = asyncio.ensure_future(visit)
    with _stop_signals() as stop:
        await _wait_for_any(running, stop)
        if not running.done():
            await _wait_for_any(running, joined, join_seconds)
            running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def _wait_for_any(running: "asyncio.Future[None]", event: asyncio.Event, seconds: float | None = None) -> None:
    waiting = asyncio.ensure_future(event.wait())
    either: set[asyncio.Future[Any]] = {running, waiting}
    await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _finish(
    arguments: TalkArguments, recognizer: SpeechRecognizer | None, replies: list[Reply], report: TalkReport
) -> None:
    """Transcribe and save the replies after leaving: in the room, the recognizer would starve the microphone."""
    if recognizer:
        for turn, reply in zip(report.turns, replies, strict=False):
            report.add_recognized(turn, await asyncio.to_thread(recognizer.transcribe, reply.audio))
    if arguments.save and replies:
        audio.save_wav(arguments.save, np.concatenate([part for r in replies for part in (r.audio, PAUSE)]))
    report.finish()
