"""People who are there and say nothing are asked, and then the session ends."""

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import RESET, copy_of
from tests.support.cluster.scenario import Trial
from tests.support.participants.speaker import Guest

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

IDLE_SECONDS = 24
"""Asked after half of it; her own sentence and the answer to it take 5 s of that on a busy machine."""
BUSY = 20
PROMPT = "Are you still there?"


def test_the_agent_asks_first_and_who_then_speaks_may_stay(trial: Trial, agent_66: Json) -> None:
    changes: Json = {"idlePrompt": PROMPT, "onLastHumanLeft": RESET}
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", "memory", **changes))
    session = trial.ready("call", "agent-66", idle=IDLE_SECONDS)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        alice.meet()
        alice.say("Test one", "test")
        first = alice.hear(IDLE_SECONDS, "still", "there")
        alice.say("Can you hear me?", "hear")
        second = alice.hear(IDLE_SECONDS, "still", "there")
        assert not trial.session("call").is_true("Finished"), "asked twice, and she spoke after the first time"

        ended = trial.finished("call", IDLE_SECONDS + BUSY)
        answers = alice.listen()

    assert ended.end_reason == "Idle"
    assert f"idleSeconds ({IDLE_SECONDS})" in ended.condition("Finished")["message"]
    assert first.told, first
    assert second.told, second
    heard = [answer for answer in answers if not answer.said]
    assert any(answer.right for answer in heard), f"the ear understood neither question: {heard}"
    assert trial.event("call", "Finished", "Idle")["type"] == "Normal"
    trial.gone()
