"""A spoken conversation in a process of its own: a media engine does not outlive its room well, nor its server.

Run as a module it reads an order from standard input and writes one JSON line per turn.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from voicesession_cli import sound
from voicesession_cli.ear import Ear
from voicesession_cli.person import Person, Reply
from voicesession_cli.tokens import human_token

from tests.e2e.hearing import has_words
from tests.e2e.kubectl import Session
from tests.e2e.rooms import LiveKit

TURN_SECONDS = 60

QUESTION = "What do you know about this project?"
REMEMBER = "Remember that my favorite color is blue"
ASK = "What is my favorite color?"
TURNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("My name is Alice and I live in Berlin", ("alice", "berlin")),
    (REMEMBER, ("blue",)),
    (ASK, ("blue",)),
    ("Test one", ("test", "one")),
    ("How many open tasks are left on the board", ("tasks", "board")),
    ("Can you hear me?", ("hear",)),
    ("Thank you, that is all for today", ("today",)),
    (QUESTION, ("room", "agent")),
    (ASK, ("blue",)),
    ("Test one", ("test", "one")),
)
"""What is said, and what must be heard in the answer."""


@dataclass(frozen=True)
class Answer:
    """One turn as the person had it."""

    said: str
    wanted: tuple[str, ...]
    words: str
    """The agent's own transcript."""
    heard: str
    """What the independent ear heard."""
    latency: float
    """Seconds from the end of speech to the first audible audio."""
    repeated: bool
    """Whether the person had to say it twice, because the agent's transcript showed that it had misheard."""

    @property
    def right(self) -> bool:
        return has_words(self.heard, *self.wanted)


def converse(
    livekit: LiveKit, session: Session, turns: Iterable[tuple[str, tuple[str, ...]]], identity: str = "alice"
) -> list[Answer]:
    """Join, speak every turn, leave; fails with the person's own words if she could not."""
    turns = list(turns)
    order = {
        "url": session.status["room"]["url"],
        "token": human_token(livekit.key.key, livekit.key.secret, session.room, identity, identity.title()),
        "identity": identity,
        "turns": turns,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.conversation"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=TURN_SECONDS * (1 + len(turns)),
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(turns), done.stderr[-2000:]
    return [Answer(**{**line, "wanted": tuple(line["wanted"])}) for line in lines]


async def _hold(order: dict[str, Any]) -> list[tuple[Reply, bool]]:
    person = Person(order["identity"])
    await person.join(order["url"], order["token"])
    await person.wait_for_agent(20)
    await person.wait_for_quiet(5)
    replies = [await _turn(person, said, wanted) for said, wanted in order["turns"]]
    await person.leave()
    return replies


async def _turn(person: Person, said: str, wanted: list[str]) -> tuple[Reply, bool]:
    reply = await person.say(sound.speak(said))
    if has_words(reply.words, *wanted):
        return reply, False
    return await person.say(sound.speak(said)), True


def main() -> None:
    order = json.load(sys.stdin)
    replies = asyncio.run(_hold(order))
    ear = Ear()
    for (said, wanted), (reply, repeated) in zip(order["turns"], replies, strict=True):
        answer = Answer(said, tuple(wanted), reply.words, ear.hear(reply.audio), reply.latency, repeated)
        print(json.dumps(asdict(answer)), flush=True)


if __name__ == "__main__":
    main()
