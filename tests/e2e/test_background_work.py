"""She leaves while work goes on in the background: none of it delays the reset, is lost, or is left running."""

from collections import Counter
from datetime import datetime

import pytest

from hack.cluster import constants
from tests.support.cluster import control_port
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.letta import opened
from tests.support.cluster.manifests import RESET, copy_of, trial_agent
from tests.support.cluster.scenario import Trial
from tests.support.cluster.slow_proxy import PROXY, answers_held, held
from tests.support.observability import pod_log
from tests.support.participants.speaker import Guest
from tests.support.participants.spoken_turns import ASK, REMEMBER
from tests.support.participants.transcript_match import words
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

HELD_SECONDS = 30
"""Far more than the 4 s after which the pod gives a fact up, and all that a reset may take."""
PATIENCE_SECONDS = 5
"""What the pod waits for Letta."""
LATE_SECONDS = PATIENCE_SECONDS + 2
"""Letta has the turn by then, and the pod cannot know."""
DEADLINE_SECONDS = 10
"""Until a reset is escalated."""
DRAINED_SECONDS = 60
SCRIPTED_LLM = "http://voicesession-scripted-llm.voicesession-system:8000/v1"


def capture(trial: Trial) -> Json:
    """The pod's own account of what it has captured."""
    found: Json = control_port.state(trial.kube, trial.session("call").pod, trial.namespace)["capture"]
    return found


def all_sent(trial: Trial) -> Json | None:
    found = capture(trial)
    return found if found["backlog"] == 0 else None


def held_at(kube: Kube) -> float:
    """Unix time at which the first answer began to be held back."""
    lines = kube.logs(PROXY, constants.NAMESPACE, "--timestamps").splitlines()
    return next(datetime.fromisoformat(line.split()[0]).timestamp() for line in lines if line.endswith("held"))


@pytest.mark.disruptive
def test_a_turn_that_is_being_captured_arrives_once_or_is_counted(trial: Trial, agent_66: Json) -> None:
    with answers_held(trial.kube, "/messages/capture", LATE_SECONDS, times=1):
        trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", onLastHumanLeft=RESET))
        trial.kube.wait("voiceagent/agent-66", "condition=Ready", trial.namespace, 120)
        session = trial.ready("call", "agent-66", grace=0)
        with Guest(trial.livekit, session) as alice:
            alice.visit(("Test one", ("test",)))
            until(lambda: held(trial.kube), "a capture whose answer is held back", 10)
            sent = held_at(trial.kube)

            after = trial.reset_complete("call", 1, DEADLINE_SECONDS)

            alice.visit(("Can you hear me?", ("hear",)))
            trial.reset_complete("call", 2)
            counted = until(lambda: all_sent(trial), "every turn captured", DRAINED_SECONDS, poll=1)
    said = Counter(" ".join(words(a.heard_by_agent)) for a in alice.answers)
    memory = str(after.status["agent"]["memoryAgentID"])
    with opened(trial.kube) as letta:
        until(lambda: set(said) <= set(letta.heard(memory)), f"{set(said)} in Letta", DRAINED_SECONDS, poll=1)
        stored = letta.heard(memory)

    twice = sum(count - 1 for text, count in Counter(stored).items() if text in said)
    started = pod_log.entries(trial.kube, session.pod, trial.namespace, "reset_started")[0]["time"]
    print(f"said {dict(said)}, stored {stored}, counted {counted}, sent {started - sent:.2f} s before the reset")
    assert sent <= started < sent + PATIENCE_SECONDS, "the capture was not under way when the reset began"
    assert not [a for a in alice.answers if a.repeated and not a.misheard], "said twice, and so captured twice"
    assert counted["lost"] == 0
    assert twice <= counted["repeated"], "an answer that did not come in time makes a repetition, which is counted"
    assert counted["repeated"] > 0, "the pod had its answer in time after all"
    assert pod_log.untidy(trial.kube, session.pod, trial.namespace) == []


def test_a_tool_that_runs_for_half_a_minute_does_not_hold_the_reset(trial: Trial) -> None:
    trial.kube.apply(trial_agent("slow", trial.namespace, "slow_tool", TRIAL_LLM=SCRIPTED_LLM))
    session = trial.ready("call", "slow", grace=0)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        alice.meet()
        alice.mutter("Remember that my favorite color is blue")
        until(lambda: "tool began" in trial.kube.logs(session.pod, trial.namespace), "the tool runs", 15, poll=0.5)
        alice.leave()

        trial.reset_complete("call", 1, DEADLINE_SECONDS)

        alice.come()
        alice.meet()
        alice.say("Test one", "test")
        alice.leave()
        trial.reset_complete("call", 2)

    cancelled = pod_log.entries(trial.kube, session.pod, trial.namespace, "background_cancelled")
    assert cancelled[0]["tools"] == 1, "she left while the tool was at work"
    assert trial.session("call").status["replacements"] == 0
    assert pod_log.untidy(trial.kube, session.pod, trial.namespace) == []


@pytest.mark.disruptive
def test_remembering_that_hangs_does_not_hold_the_reset(trial: Trial, agent_66: Json) -> None:
    with answers_held(trial.kube, "/core-memory/blocks", HELD_SECONDS, times=1):
        trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", onLastHumanLeft=RESET))
        trial.kube.wait("voiceagent/agent-66", "condition=Ready", trial.namespace, 120)
        session = trial.ready("call", "agent-66", grace=0)
        with Guest(trial.livekit, session) as alice:
            alice.come()
            alice.meet()
            alice.mutter(REMEMBER, within=0.5)
            until(lambda: held(trial.kube), "a write whose answer is held back", 15)
            alice.leave()

            trial.reset_complete("call", 1, DEADLINE_SECONDS)

            alice.come()
            alice.meet()
            asked = alice.say(ASK, "blue")
            alice.leave()
            trial.reset_complete("call", 2)

    cancelled = pod_log.entries(trial.kube, session.pod, trial.namespace, "background_cancelled")
    assert cancelled[0]["tools"] == 1, "she left while the tool was at work"
    assert asked.told, f"Letta had the fact though nobody was told so: {asked}"
    assert trial.session("call").status["replacements"] == 0
    assert pod_log.untidy(trial.kube, session.pod, trial.namespace) == []
