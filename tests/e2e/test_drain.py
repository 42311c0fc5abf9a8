"""Drain of a node during a call with the commands of docs/operations/drain.md."""

from dataclasses import replace

import pytest

from tests.support.cluster.nodes import agent_pod
from tests.support.cluster.scenario import Scenario
from tests.support.documents.blocks import named
from tests.support.documents.reader import at_the_cluster
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive]

BACK_SECONDS = 90


def test_drained_call_keeps_room_and_gets_new_agent(scenario: Scenario) -> None:
    before = scenario.start_session("call")
    scenario.join_human("call")
    sid = scenario.agent_sid(before)
    node = agent_pod(scenario.kube, before.pod, scenario.namespace)["spec"]["nodeName"]
    with at_the_cluster(scenario.kube) as reader:
        try:
            reader.run(named("drain-calls"), NODE=node)
            scenario.wait_for_event("call", "AgentReplaced")
            assert scenario.session("call").status["humans"] == 1
            # The cluster has one worker, so its other pods have no node to move to.
            rest = named("drain-rest")
            reader.run(replace(rest, content=rest.content.replace("drain ", "drain --dry-run=server ")), NODE=node)
        finally:
            reader.run(named("uncordon"), NODE=node)

    until(lambda: scenario.agent_sid(before) not in ("", sid), "another agent in the same room", BACK_SECONDS)
    after = scenario.session("call")
    assert after.room == before.room
    assert after.status["replacements"] == 1
