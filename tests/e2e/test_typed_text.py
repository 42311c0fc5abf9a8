"""Typed text and digits of humans without sound: all are answered in writing, and no log line has a word of them."""

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.participants.typing_participant import TypingParticipant

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

ANSWER_SECONDS = 30
CANARY = "kumquat"


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
