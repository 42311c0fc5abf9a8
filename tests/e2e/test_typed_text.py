"""Typed text and digits of humans without sound: all are answered in writing, and no log line has a word of them."""

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.participants.typing_participant import TypingParticipant

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

ANSWER_SECONDS = 30
CANARY = "kumquat"
LONG_TEXTS = 10
FILLER = "word " * 300
"""About 500 tokens; the scripted model repeats it, so that each text costs 1,000."""


def test_typed_text_and_digits_of_two_humans_are_answered_in_writing(scenario: Scenario, agent_66: Json) -> None:
    changes: Json = {"greeting": "Welcome to the test."}
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory", **changes))
    session = scenario.start_session("call", "agent-66")
    alice = TypingParticipant(scenario.livekit, session, "alice")
    bob = None
    try:
        alice.wait_for_text("Welcome to the test.", ANSWER_SECONDS)
        alice.type(f"My secret word is {CANARY}")
        alice.wait_for_text(CANARY, ANSWER_SECONDS)
        bob = TypingParticipant(scenario.livekit, session, "bob")
        bob.type("What is my secret word?")
        bob.wait_for_text(f"Your secret word is {CANARY}", ANSWER_SECONDS)
        alice.press("12#")
        alice.wait_for_text("[DTMF] 12", ANSWER_SECONDS)
    finally:
        alice.leave()
        if bob is not None:
            bob.leave()

    log = scenario.kube.logs(session.pod, scenario.namespace)
    assert CANARY not in log.lower()


@pytest.mark.slow
def test_fact_of_a_conversation_longer_than_the_context_is_still_known(scenario: Scenario, agent_66: Json) -> None:
    """Type 10,000 tokens: the model sees 6,000, and a summary of the others."""
    changes: Json = {"greeting": ""}
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory", **changes))
    session = scenario.start_session("call", "agent-66")
    alice = TypingParticipant(scenario.livekit, session, "alice")
    try:
        alice.type(f"My secret word is {CANARY}")
        alice.wait_for_text(CANARY, ANSWER_SECONDS)
        for number in range(LONG_TEXTS):
            alice.type(f"Number {number}. {FILLER} Marker {number}.")
            alice.wait_for_text(f"Marker {number}.", ANSWER_SECONDS)
        alice.type("What is my secret word?")
        alice.wait_for_text(f"Your secret word is {CANARY}", ANSWER_SECONDS)
    finally:
        alice.leave()
    assert "summarized" in scenario.kube.logs(session.pod, scenario.namespace)
