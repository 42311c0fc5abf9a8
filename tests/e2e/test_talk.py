"""Spoken conversations, judged by an ear that has nothing in common with the agent's engines."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from voicesession_cli import sound
from voicesession_cli.ear import Ear
from voicesession_cli.person import Person, Reply
from voicesession_cli.tokens import human_token

from hack.cluster import names
from tests.e2e.hearing import content, has_words
from tests.e2e.kubectl import Json, Session
from tests.e2e.objects import copy_of
from tests.e2e.trial import Trial
from tests.e2e.visitor import talk
from tests.e2e.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

QUESTION = "What do you know about this project?"
REMEMBER = "Remember that my favorite color is blue"
ASK = "What is my favorite color?"
TURNS = (
    ("My name is Alice and I live in Berlin", {"alice", "berlin"}),
    (REMEMBER, {"blue"}),
    (ASK, {"blue"}),
    ("Test one", {"test", "one"}),
    ("How many open tasks are left on the board", {"tasks", "board"}),
    ("Can you hear me?", {"hear"}),
    ("Thank you, that is all for today", {"today"}),
    (QUESTION, {"room", "agent"}),
    (ASK, {"blue"}),
    ("Test one", {"test", "one"}),
)
"""What is said, and what must be heard in the answer."""
WRONG_ALLOWED = 1
"""A busy machine starves offline recognition: one misheard sentence out of ten may be said again."""


@dataclass
class Caller:
    """One human of one session, with her own event loop's room."""

    trial: Trial
    identity: str = "alice"

    async def join(self, session: Session) -> Person:
        person = Person(self.identity)
        key = self.trial.livekit.key
        token = human_token(key.key, key.secret, session.room, self.identity, "Alice")
        await person.join(str(session.status["room"]["url"]), token)
        await person.wait_for_agent(20)
        await person.wait_for_quiet(5)
        return person


def letta_answers(trial: Trial, name: str) -> None:
    """Wait until the operator has resolved the VoiceAgent's memory."""
    trial.kube.wait(f"voiceagent/{name}", "condition=Ready", trial.namespace, 120)


def test_the_example_answers_from_its_letta_block(trial: Trial, agent_66: Json, tmp_path: Path) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace))
    letta_answers(trial, "agent-66")
    trial.ready("call", "agent-66")
    wav = tmp_path / "reply.wav"

    told = talk(trial.livekit, "call", trial.namespace, "--say", QUESTION, "--listen", "--save", str(wav))

    (turn,) = told["turns"]
    (block,) = [b["value"] for b in agent_66["spec"]["memory"]["letta"]["blocks"] if b["label"] == "project"]
    from_memory = content(block) - content(QUESTION)
    assert len(from_memory & content(turn["heard"])) >= len(from_memory) - 1, turn["heard"]
    assert len(from_memory & content(turn["reply"])) == len(from_memory), turn["reply"]
    assert 0 < turn["latencySeconds"] < 10
    assert wav.stat().st_size > sound.HEARD_RATE


async def test_ten_spoken_turns_in_a_row(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace))
    await asyncio.to_thread(letta_answers, trial, "agent-66")
    session = await asyncio.to_thread(trial.ready, "call", "agent-66")

    replies = await _converse(await Caller(trial).join(session))

    ear = Ear()
    heard = [ear.hear(reply.audio) for reply in replies]
    wrong = [(said, text) for (said, wanted), text in zip(TURNS, heard, strict=True) if not has_words(text, *wanted)]
    assert len(wrong) <= WRONG_ALLOWED, wrong


async def _converse(person: Person) -> list[Reply]:
    """Every turn; one that the agent's own transcript shows to be misheard is repeated once."""
    replies = []
    for said, wanted in TURNS:
        reply = await person.say(sound.speak(said))
        if not has_words(reply.words, *wanted):
            reply = await person.say(sound.speak(said))
        replies.append(reply)
    await person.leave()
    return replies


async def test_whoever_is_back_within_the_grace_finds_the_same_agent(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "memory"))
    session = await asyncio.to_thread(trial.ready, "call", "agent-66", grace=60)
    caller = Caller(trial)
    person = await caller.join(session)
    await person.say(sound.speak(REMEMBER))
    before = await asyncio.to_thread(trial.agent_sid, session)
    await person.leave()
    await asyncio.to_thread(until, lambda: trial.session("call").status.get("lastHumanLeftAt"), "lastHumanLeftAt", 30)

    person = await caller.join(session)
    reply = await person.say(sound.speak(ASK))
    after = await asyncio.to_thread(trial.agent_sid, session)
    await person.leave()

    assert after == before != ""
    assert has_words(reply.words, "blue"), reply.words
    assert has_words(Ear().hear(reply.audio), "blue")


def test_an_own_agent_is_talked_to(trial: Trial) -> None:
    document = yaml.safe_load((names.ROOT / "examples" / "own-agent" / "agent.yaml").read_text())
    trial.kube.apply(copy_of(document, "own-agent", trial.namespace))
    trial.ready("call", "own-agent")

    told = talk(trial.livekit, "call", trial.namespace, "--say", "Test one", "--listen")

    (turn,) = told["turns"]
    assert turn["reply"] or turn["heard"]
    assert turn["heard"].strip()
