"""A node is drained with the commands of docs/operations/drain.md while a call goes on."""

from dataclasses import replace

import pytest

from tests.support.cluster.nodes import agent_pod
from tests.support.cluster.scenario import Trial
from tests.support.documents.blocks import named
from tests.support.documents.reader import at_the_cluster
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive]

BACK_SECONDS = 90


def test_drained_call_keeps_room_and_gets_new_agent(trial: Trial) -> None:
    before = trial.ready("call")
    trial.visit("call")
    sid = trial.agent_sid(before)
    node = agent_pod(trial.kube, before.pod, trial.namespace)["spec"]["nodeName"]
    with at_the_cluster(trial.kube) as reader:
        try:
            reader.run(named("drain-calls"), NODE=node)
            trial.event("call", "AgentReplaced")
            assert trial.session("call").status["humans"] == 1
            # The cluster has one worker: what else runs there has nowhere to go.
            rest = named("drain-rest")
            reader.run(replace(rest, content=rest.content.replace("drain ", "drain --dry-run=server ")), NODE=node)
        finally:
            reader.run(named("uncordon"), NODE=node)

    until(lambda: trial.agent_sid(before) not in ("", sid), "another agent in the same room", BACK_SECONDS)
    after = trial.session("call")
    assert after.room == before.room
    assert after.status["replacements"] == 1
