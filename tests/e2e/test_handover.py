"""Handover: a pod that is deleted in the middle of a call stays until its replacement continues the conversation."""

import time

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.observability.room_sampler import RoomSampler
from tests.support.participants.typing_participant import TypingParticipant
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

ANSWER_SECONDS = 30
HANDOVER_SECONDS = 30


def test_conversation_goes_on_in_replacement_of_deleted_pod(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory", greeting="Welcome."))
    session = scenario.start_session("call", "agent-66", grace=60)
    alice = TypingParticipant(scenario.livekit, session, "alice")
    try:
        alice.wait_for_text("Welcome.", ANSWER_SECONDS)
        alice.type("My secret word is kumquat")
        alice.wait_for_text("kumquat", ANSWER_SECONDS)
        old = scenario.agent_sid(session)
        with RoomSampler(scenario.livekit, session.room, session.identity) as sampler:
            deleted_at = time.time()
            scenario.kube.delete("pod", session.pod, scenario.namespace, "--wait=false")
            joined_at = sampler.wait_for_new_sid(frozenset({old}), deleted_at, HANDOVER_SECONDS)
            assert sampler.longest_gap(deleted_at, joined_at) < (joined_at - deleted_at) / 2
        until(lambda: scenario.session("call").pod != session.pod, "the next pod in the status", ANSWER_SECONDS)
        scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, ANSWER_SECONDS)
        until(lambda: knows_word(alice), "the answer with the word", ANSWER_SECONDS)
    finally:
        alice.leave()
    after = scenario.session("call")
    assert (after.room, after.status["replacements"], after.status["resets"]) == (session.room, 1, 0)
    assert "kumquat" not in scenario.kube.logs(after.pod, scenario.namespace).lower()


def knows_word(alice: TypingParticipant) -> bool:
    """Ask for the word. A text that arrives in the moment of the agent's join has no reader."""
    alice.type("What is my secret word?")
    try:
        alice.wait_for_text("Your secret word is kumquat", ANSWER_SECONDS / 3)
    except AssertionError:
        return False
    return True
