"""A bad day: one conversation through faults of LiveKit, Letta, the model and the humans' devices."""

import pytest

from tests.support.cluster import faults
from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.participants.speaker import Speaker
from tests.support.participants.typing_participant import TypingParticipant
from tests.support.polling import until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.speech,
    pytest.mark.disruptive,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

BACK_SECONDS = 120
"""Retries of LiveKit's clients against a server that starts."""
MUSIC_SECONDS = 60
PAUSE_SECONDS = 12
ANSWER_SECONDS = 40
FAVORITE = "My favorite color is blue"
QUESTION = "What is my favorite color"
"""The scripted model answers the question from the conversation: the fact is not written into memory."""


def test_conversation_survives_a_bad_day(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting"))
    scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, BACK_SECONDS)
    session = scenario.start_session("call", "agent-66", grace=60, reconnect_grace=300)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        sid = alice.wait_for_agent()
        alice.say(FAVORITE, "blue")
        faults.restart(scenario.kube, "livekit")
    until(lambda: scenario.agent_sid(session) not in ("", sid), "the agent is back in the room", BACK_SECONDS)

    with Speaker(scenario.livekit, session) as alice:
        _reload_page(alice)
        alice.play_music(MUSIC_SECONDS)
        with faults.without(scenario.kube, "letta"):
            alice.say("Test one", "test", repeat_unanswered=True)
        _type_with_failing_model(scenario)
        answer = alice.say(QUESTION, "blue", repeat_unanswered=True)
        after = scenario.session("call")
        alice.leave()

    assert answer.is_expected, answer
    assert (after.status["resets"], after.status["replacements"]) == (0, 0)
    assert [pod["metadata"]["name"] for pod in scenario.agent_pods()] == [session.pod]
    assert after.room == session.room


def _reload_page(human: Speaker) -> None:
    """Join, leave and join again, as a page does that is loaded again."""
    for _ in range(2):
        human.join()
        human.wait_for_agent(BACK_SECONDS)
        human.leave()
    human.join()
    human.wait_for_agent(BACK_SECONDS)


def _type_with_failing_model(scenario: Scenario) -> None:
    """Let a second human type while the model pauses, and once fails."""
    bob = TypingParticipant(scenario.livekit, scenario.session("call"), "bob")
    try:
        bob.type(f"Please pause for {PAUSE_SECONDS} seconds.")
        bob.wait_for_text("After the pause.", PAUSE_SECONDS + ANSWER_SECONDS)
        bob.type("Please refuse with status 500.")
        bob.wait_for_text("I cannot answer right now", ANSWER_SECONDS)
        bob.type("Is the model back?")
        bob.wait_for_text("Is the model back?", ANSWER_SECONDS)
    finally:
        bob.leave()
