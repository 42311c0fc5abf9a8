"""Spoken turns: from the end of a person's speech to the first audible sound of the answer."""

import asyncio

from voicesession_cli import sound
from voicesession_cli.ear import Ear
from voicesession_cli.person import Person, Reply
from voicesession_cli.tokens import human_token

from tests.e2e.hearing import has_words
from tests.e2e.test_talk import TURNS
from tests.load.figures import Section, distribution
from tests.load.ground import Ground, ground


def run(rounds: int) -> Section:
    with ground("talking") as here:
        here.example_agent()
        here.kube.wait("voiceagent/agent-66", "condition=Ready", here.trial.namespace, 120)
        here.trial.ready("call", "agent-66")
        turns = [TURNS[number % len(TURNS)] for number in range(rounds)]
        replies = asyncio.run(_converse(here, [said for said, _ in turns]))
    ear = Ear()
    right = sum(has_words(ear.hear(r.audio), *wanted) for (_, wanted), r in zip(turns, replies, strict=True))
    table = distribution(
        "Latency of a spoken turn, in s", {"end of speech -> first audio": [r.latency for r in replies]}
    )
    note = f"{right} of {len(replies)} answers were understood as right by the independent ear."
    return Section("talking", "2. Spoken turns", [table], [note])


async def _converse(here: Ground, sentences: list[str]) -> list[Reply]:
    session, key = here.trial.session("call"), here.trial.livekit.key
    person = Person("alice")
    await person.join(here.trial.livekit.url, human_token(key.key, key.secret, session.room, "alice", "Alice"))
    await person.wait_for_agent(20)
    await person.wait_for_quiet(5)
    replies = []
    for sentence in sentences:
        replies.append(await person.say(sound.speak(sentence)))
        here.say(f"{replies[-1].latency:.3f} s: {sentence}")
    await person.leave()
    return replies
