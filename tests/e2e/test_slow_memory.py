"""A Letta that takes requests and answers none: memory is loaded beside the way into the room, never before it."""

import pytest

from tests.support.cluster import control_port
from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import RESET, copy_of
from tests.support.cluster.scenario import Trial
from tests.support.cluster.slow_proxy import answers_held, held
from tests.support.observability import pod_log
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive]

BLOCKS = "include=agent.blocks"
"""What an agent pod asks of Letta, and nobody else."""
HELD_SECONDS = 30
ALWAYS = 1000
JOIN_SECONDS = 4.0
"""From being told the room to being in it: less than the 5 s that a pod waits for Letta, many times what it takes."""


def test_neither_a_start_nor_a_reset_waits_for_memory(trial: Trial, agent_66: Json) -> None:
    with answers_held(trial.kube, BLOCKS, HELD_SECONDS, times=ALWAYS):
        trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", onLastHumanLeft=RESET))
        trial.kube.wait("voiceagent/agent-66", "condition=Ready", trial.namespace, 120)

        session = trial.ready("call", "agent-66", grace=0, reconnect_grace=0)
        state = control_port.state(trial.kube, session.pod, trial.namespace)
        until(lambda: held(trial.kube), "a load of memory whose answer is held back", 10)
        trial.visit("call").leave()
        after = trial.reset_complete("call", 1)

        reset = pod_log.milliseconds(pod_log.entries(trial.kube, session.pod, trial.namespace, "reset_complete"))
        memory = control_port.state(trial.kube, session.pod, trial.namespace)["memory"]
    times = state["timings"]
    joined = times["joined"] - max(times["prepared"], times["bound"])
    print(f"in the room after {joined:.2f} s, after the reset {reset} ms; memory: {memory['state']}")
    assert memory["state"] != "Ok", "Letta answered after all"
    assert joined < JOIN_SECONDS
    assert reset[0] < JOIN_SECONDS * 1000
    assert (after.pod, after.status["replacements"]) == (session.pod, 0)
