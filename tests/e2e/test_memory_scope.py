"""The built-in `memory.letta.scope`, User: each user has a separate memory, which they can read, fill and clear."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.cluster import control_port, manifests
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.letta import open_letta
from tests.support.cluster.scenario import START_SECONDS, Scenario
from tests.support.participants.code_words import UNKNOWN_KEYWORDS
from tests.support.participants.speaker import Speaker
from tests.support.participants.spoken_turns import ASK, REMEMBER
from tests.support.participants.typing_participant import TypingParticipant
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.speech, pytest.mark.timeout(600)]

MEMORY_SECONDS = 30
"""Time until a user's Letta agent is found or created; sessions do not wait for it."""
END_SECONDS = 40
ANSWER_SECONDS = 30
LABEL = "human"
SAID = "My boat lies in the harbor"


def test_user_memory_is_separate_and_found_again(scenario: Scenario, agent_66: Json) -> None:
    _apply_agent(scenario, agent_66)

    with open_letta(scenario.kube) as letta:
        alices, answered = _conversation(scenario, "first", "alice", REMEMBER, "blue")
        until(lambda: "blue" in letta.block(alices, LABEL), "the color in Alice's block", 15, poll=0.5)
        bobs, unknown = _conversation(scenario, "second", "bob", ASK, *UNKNOWN_KEYWORDS)
        again, known = _conversation(scenario, "third", "alice", ASK, "blue")

        assert answered, "Alice got no answer"
        assert unknown, "the agent knows Alice's color in Bob's session"
        assert known, "the agent does not know Alice's color in the next session of Alice"
        assert (again, bobs) == (alices, bobs)
        assert len({alices, bobs, _shared(scenario)}) == 3, "two users and the VoiceAgent have three Letta agents"
        assert "blue" not in letta.block(bobs, LABEL) + letta.block(_shared(scenario), LABEL)


def test_typed_fact_is_forgotten_and_read_only_block_is_refused(scenario: Scenario, agent_66: Json) -> None:
    _apply_agent(scenario, agent_66)
    with open_letta(scenario.kube) as letta, _typing(scenario, "call", "alice") as (alice, memory):
        alice.type(REMEMBER)
        alice.wait_for_text("I will remember", ANSWER_SECONDS)
        assert "blue" in letta.block(memory, LABEL)
        letta.write(memory, LABEL, letta.block(memory, LABEL) + "\nLikes tea.")
        alice.type("Forget that my favorite color is blue")
        alice.wait_for_text("I have forgotten it", ANSWER_SECONDS)
        assert letta.block(memory, LABEL) == "Likes tea."

        letta.protect(memory, LABEL)
        alice.type("Remember that my dog is Rex")
        alice.wait_for_text("I could not save that to memory", ANSWER_SECONDS)
        alice.type("Forget everything")
        alice.wait_for_text("I could not forget that", ANSWER_SECONDS)
        scenario.wait_for_false_condition("call", "MemoryReady", "read only")
        assert letta.block(memory, LABEL) == "Likes tea."


def test_words_of_earlier_session_are_found_by_their_speaker_only(scenario: Scenario, agent_66: Json) -> None:
    _apply_agent(scenario, agent_66)
    with open_letta(scenario.kube) as letta:
        with _typing(scenario, "first", "alice") as (alice, memory):
            alice.type(SAID)
            alice.wait_for_text(f"You said: {SAID}", ANSWER_SECONDS)
            until(lambda: letta.captured_texts(memory), "the captured turn", 15, poll=0.5)
        with _typing(scenario, "second", "alice") as (alice, _):
            alice.type("What did I say about harbor?")
            alice.wait_for_text(f"You said: {SAID}", ANSWER_SECONDS)
        with _typing(scenario, "third", "bob") as (bob, _):
            bob.type("What did I say about harbor?")
            bob.wait_for_text("I find nothing about that", ANSWER_SECONDS)


def _apply_agent(scenario: Scenario, original: Json) -> None:
    """Apply a copy of the VoiceAgent without a scope, in which each user has a separate memory."""
    own = copy.deepcopy(original["spec"]["memory"])
    del own["letta"]["scope"], own["letta"]["remember"]
    scenario.kube.apply(manifests.copy_of(original, "agent-66", scenario.namespace, "greeting", memory=own))
    scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)


@contextmanager
def _typing(scenario: Scenario, name: str, user: str) -> Iterator[tuple[TypingParticipant, str]]:
    """Join a session of the user whose pod has read the memory; yield the participant and the Letta agent."""
    session = _start(scenario, name, user)
    until(lambda: _has_read_memory(scenario, session), f"the memory of {user} in the pod", MEMORY_SECONDS)
    participant = TypingParticipant(scenario.livekit, session, user)
    try:
        yield participant, _memory_agent(session)
    finally:
        participant.leave()


def _start(scenario: Scenario, name: str, user: str) -> Session:
    """Start a session of the user; return it when its Letta agent is known."""
    scenario.kube.apply(manifests.for_user(manifests.session(name, scenario.namespace, "agent-66"), user))
    scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, START_SECONDS)
    return until(lambda: _with_memory(scenario, name), f"the memory of {user}", MEMORY_SECONDS)


def _has_read_memory(scenario: Scenario, session: Session) -> bool:
    return bool(control_port.state(scenario.kube, session.pod, scenario.namespace)["memory"]["state"] == "Ok")


def _conversation(scenario: Scenario, name: str, user: str, text: str, *keywords: str) -> tuple[str, bool]:
    """Say one sentence in a session of the user; return the Letta agent, and whether the answer has the keywords."""
    session = _start(scenario, name, user)
    with Speaker(scenario.livekit, session, user) as speaker:
        speaker.join()
        speaker.wait_for_agent()
        answer = speaker.say(text, *keywords)
        speaker.leave()
    scenario.wait_until_finished(name, END_SECONDS)
    return _memory_agent(session), answer.is_expected


def _with_memory(scenario: Scenario, name: str) -> Session | None:
    found = scenario.find_session(name)
    return found if found and _memory_agent(found) else None


def _memory_agent(session: Session) -> str:
    return str((session.status.get("agent") or {}).get("memoryAgentID") or "")


def _shared(scenario: Scenario) -> str:
    """Return the VoiceAgent's Letta agent, which sessions without a user share."""
    found = scenario.kube.get("voiceagent", "agent-66", scenario.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])
