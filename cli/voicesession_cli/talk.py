"""`voicesession talk`: one visit to one session."""

import asyncio
import contextlib
import secrets
import signal
import string
from typing import Final

import numpy as np

from voicesession_cli import sound
from voicesession_cli.cluster import Cluster
from voicesession_cli.ear import Ear
from voicesession_cli.errors import CommandError
from voicesession_cli.options import Talk
from voicesession_cli.person import Person, Reply
from voicesession_cli.report import Report, Turn
from voicesession_cli.sound import Samples
from voicesession_cli.tokens import human_token

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
