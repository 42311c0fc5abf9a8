"""A Letta that answers no request: the agent joins the room without waiting for memory."""

import pytest

from tests.support.cluster import control_port
from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import RESET, copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.cluster.slow_proxy import delayed_answers, delayed_count
from tests.support.observability import pod_log
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive]

BLOCKS = "include=agent.blocks"
"""Part of a request to Letta that only agent pods send."""
HELD_SECONDS = 30
ALWAYS = 1000
JOIN_SECONDS = 15.0
"""Upper bound from the assignment of the room to the join: half an answer's delay, many times the usual time."""


def test_start_and_reset_do_not_wait_for_memory(scenario: Scenario, agent_66: Json) -> None:
    with delayed_answers(scenario.kube, BLOCKS, HELD_SECONDS, times=ALWAYS):
        scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", onLastHumanLeft=RESET))
        scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)

        session = scenario.start_session("call", "agent-66", grace=0, reconnect_grace=0)
        state = control_port.state(scenario.kube, session.pod, scenario.namespace)
        until(lambda: delayed_count(scenario.kube), "a memory load with a delayed answer", 10)
        scenario.join_human("call").leave()
        after = scenario.wait_for_reset("call", 1)

        reset = pod_log.milliseconds(pod_log.entries(scenario.kube, session.pod, scenario.namespace, "reset_complete"))
        memory = control_port.state(scenario.kube, session.pod, scenario.namespace)["memory"]
    times = state["timings"]
    joined = times["joined"] - max(times["prepared"], times["bound"])
    print(f"in the room after {joined:.2f} s, after the reset {reset} ms; memory: {memory['state']}")
    assert memory["state"] != "Ok", "Letta answered"
    assert joined < JOIN_SECONDS
    assert reset[0] < JOIN_SECONDS * 1000
    assert (after.pod, after.status["replacements"]) == (session.pod, 0)
