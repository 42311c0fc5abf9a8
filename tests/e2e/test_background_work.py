"""Background work during a reset: it does not delay the reset, is not lost, and does not keep running."""

from datetime import datetime

import pytest

from hack.cluster import constants
from tests.support.cluster import control_port
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.letta import open_letta
from tests.support.cluster.manifests import RESET, copy_of, faulty_agent
from tests.support.cluster.scenario import Scenario
from tests.support.cluster.slow_proxy import PROXY, delayed_answers, delayed_count
from tests.support.observability import pod_log
from tests.support.participants.speaker import Answer, Speaker
from tests.support.participants.spoken_turns import ASK, REMEMBER
from tests.support.participants.transcript_match import has_words, words
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

HELD_SECONDS = 30
"""Longer than the 4 s timeout of a memory write and than the deadline of a reset."""
PATIENCE_SECONDS = 5
"""The pod's timeout for requests to Letta."""
LATE_SECONDS = PATIENCE_SECONDS + 2
"""Delay of an answer: Letta has stored the turn, and the pod cannot know it."""
DEADLINE_SECONDS = 10
"""Time until a reset is escalated."""
CAPTURE_SECONDS = 60
SCRIPTED_LLM = "http://voicesession-scripted-llm.voicesession-system:8000/v1"


def capture(scenario: Scenario) -> Json:
    """Return the capture counters of the pod's state."""
    found: Json = control_port.state(scenario.kube, scenario.session("call").pod, scenario.namespace)["capture"]
    return found


def all_sent(scenario: Scenario) -> Json | None:
    """Return the capture counters once no turn is queued."""
    found = capture(scenario)
    return found if found["backlog"] == 0 else None


def first_delay(kube: Kube) -> float:
    """Return the Unix time of the first delayed answer."""
    lines = kube.logs(PROXY, constants.NAMESPACE, "--timestamps").splitlines()
    return next(datetime.fromisoformat(line.split()[0]).timestamp() for line in lines if line.endswith("held"))


@pytest.mark.disruptive
def test_turn_captured_during_reset_is_stored_once_or_counted(scenario: Scenario, agent_66: Json) -> None:
    with delayed_answers(scenario.kube, "/messages/capture", LATE_SECONDS, times=1):
        scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", onLastHumanLeft=RESET))
        scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)
        session = scenario.start_session("call", "agent-66", grace=0)
        with Speaker(scenario.livekit, session) as alice:
            # Any answer is accepted: a sentence that is said again outlasts the delay of the first capture.
            alice.hold_conversation(("Test one", ()))
            until(lambda: delayed_count(scenario.kube), "a capture with a delayed answer", 10)
            sent = first_delay(scenario.kube)

            after = scenario.wait_for_reset("call", 1, DEADLINE_SECONDS)

            alice.hold_conversation(("Can you hear me?", ()))
            scenario.wait_for_reset("call", 2)
            counted = until(lambda: all_sent(scenario), "every turn captured", CAPTURE_SECONDS, poll=1)
    memory = str(after.status["agent"]["memoryAgentID"])
    with open_letta(scenario.kube) as letta:
        stored = until(
            lambda: _texts_of(alice.answers, letta.captured_texts(memory)),
            "every turn in Letta",
            CAPTURE_SECONDS,
            poll=1,
        )

    held = " ".join(words(alice.answers[0].heard_by_agent))
    duplicates = max(stored.count(held) - 1, 0)
    started = pod_log.entries(scenario.kube, session.pod, scenario.namespace, "reset_started")[0]["time"]
    print(f"stored {stored}, counted {counted}, sent {started - sent:.2f} s before the reset")
    assert sent <= started < sent + PATIENCE_SECONDS, "the capture was not under way when the reset began"
    assert not [a for a in alice.answers if a.repeated and not a.misheard], (
        "a sentence was said twice, and captured twice"
    )
    assert counted["lost"] == 0
    assert duplicates <= counted["repeated"], "a timeout causes a repetition, which must be counted"
    assert counted["repeated"] > 0, "the pod had its answer in time"
    assert pod_log.unfinished_work(scenario.kube, session.pod, scenario.namespace) == []


def _texts_of(answers: list[Answer], stored: list[str]) -> list[str]:
    """Return the stored texts if each answered sentence is among them, as the agent heard it; otherwise an empty list.

    One word is enough: the agent may capture a sentence in two parts.
    """
    heard = [words(answer.heard_by_agent) for answer in answers]
    are_stored = all(any(has_words(text, word) for text in stored for word in sentence) for sentence in heard)
    return stored if are_stored else []


@pytest.mark.slow
def test_running_tool_does_not_delay_reset(scenario: Scenario) -> None:
    scenario.kube.apply(faulty_agent("slow", scenario.namespace, "slow_tool", TRIAL_LLM=SCRIPTED_LLM))
    session = scenario.start_session("call", "slow", grace=0)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        alice.wait_for_agent()
        alice.say_once("Remember that my favorite color is blue")
        until(
            lambda: "tool began" in scenario.kube.logs(session.pod, scenario.namespace), "the tool runs", 15, poll=0.5
        )
        alice.leave()

        scenario.wait_for_reset("call", 1, DEADLINE_SECONDS)

        alice.join()
        alice.wait_for_agent()
        alice.say("Test one", "test")
        alice.leave()
        scenario.wait_for_reset("call", 2)

    canceled = pod_log.entries(scenario.kube, session.pod, scenario.namespace, "background_cancelled")
    assert canceled[0]["tools"] == 1, "the human left while the tool ran"
    assert scenario.session("call").status["replacements"] == 0
    assert pod_log.unfinished_work(scenario.kube, session.pod, scenario.namespace) == []


@pytest.mark.slow
@pytest.mark.disruptive
def test_hanging_memory_write_does_not_delay_reset(scenario: Scenario, agent_66: Json) -> None:
    with delayed_answers(scenario.kube, "/core-memory/blocks", HELD_SECONDS, times=1):
        scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", onLastHumanLeft=RESET))
        scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)
        session = scenario.start_session("call", "agent-66", grace=0)
        with Speaker(scenario.livekit, session) as alice:
            alice.join()
            alice.wait_for_agent()
            alice.say_once(REMEMBER, within=0.5)
            until(lambda: delayed_count(scenario.kube), "a memory write with a delayed answer", 15)
            alice.leave()

            scenario.wait_for_reset("call", 1, DEADLINE_SECONDS)

            alice.join()
            alice.wait_for_agent()
            asked = alice.say(ASK, "blue")
            alice.leave()
            scenario.wait_for_reset("call", 2)

    canceled = pod_log.entries(scenario.kube, session.pod, scenario.namespace, "background_cancelled")
    assert canceled[0]["tools"] == 1, "the human left while the tool ran"
    assert asked.is_expected, f"Letta stored the fact, but the agent does not know it: {asked}"
    assert scenario.session("call").status["replacements"] == 0
    assert pod_log.unfinished_work(scenario.kube, session.pod, scenario.namespace) == []
