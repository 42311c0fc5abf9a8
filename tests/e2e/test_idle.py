"""The idle prompt: the agent asks silent humans, and the session ends without an answer."""

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import RESET, copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.participants.speaker import Speaker

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.speech]

IDLE_SECONDS = 24
"""The agent asks after half of it; a sentence and its answer take 5 s of that on a busy machine."""
BUSY = 20
PROMPT = "Are you still there?"


def test_idle_prompt_keeps_speaking_human_and_idle_session_ends(scenario: Scenario, agent_66: Json) -> None:
    changes: Json = {"idlePrompt": PROMPT, "onLastHumanLeft": RESET}
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", "memory", **changes))
    session = scenario.start_session("call", "agent-66", idle=IDLE_SECONDS)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        alice.wait_for_agent()
        alice.say("Test one", "test")
        first = alice.wait_for_speech(IDLE_SECONDS, "still", "there")
        alice.say("Can you hear me?", "hear")
        second = alice.wait_for_speech(IDLE_SECONDS, "still", "there")
        assert not scenario.session("call").is_true("Finished"), (
            "the session ended although the human spoke after the first prompt"
        )

        ended = scenario.wait_until_finished("call", IDLE_SECONDS + BUSY)
        answers = alice.transcribe()

    assert ended.end_reason == "Idle"
    assert f"idleSeconds ({IDLE_SECONDS})" in ended.condition("Finished")["message"]
    assert first.is_expected, first
    assert second.is_expected, second
    prompts = [answer for answer in answers if not answer.sentence]
    assert any(answer.is_recognized for answer in prompts), f"the recognizer understood no prompt: {prompts}"
    assert scenario.wait_for_event("call", "Finished", "Idle")["type"] == "Normal"
    scenario.wait_until_empty()
