"""LiveKit restarted in the middle of calls: its rooms are lost, and the calls go on with the same agents."""

import pytest

from tests.support.cluster import faults
from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.disruptive, pytest.mark.timeout(600)]

CALLS = ("one", "two", "three")
BACK_SECONDS = 120
"""Retries of LiveKit's clients against a server that starts, for three agents on a busy machine."""


def test_restarted_livekit_keeps_three_calls(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory"))
    before = {name: scenario.start_session(name, "agent-66", grace=60, reconnect_grace=120) for name in CALLS}
    for name in CALLS:
        scenario.join_human(name)
    sids = {name: scenario.agent_sid(before[name]) for name in CALLS}

    faults.restart(scenario.kube, "livekit")

    for name in CALLS:
        until(lambda: scenario.agent_sid(before[name]) not in ("", sids[name]), f"the agent of {name}", BACK_SECONDS)  # noqa: B023
        scenario.join_human(name)
        scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, BACK_SECONDS)
    after = {name: scenario.session(name) for name in CALLS}
    assert {name: (after[name].pod, after[name].room) for name in CALLS} == {
        name: (before[name].pod, before[name].room) for name in CALLS
    }
    counts = [(after[name].status["resets"], after[name].status["replacements"]) for name in CALLS]
    assert counts == [(0, 0)] * len(CALLS)
