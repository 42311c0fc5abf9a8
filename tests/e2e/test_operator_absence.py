"""An operator that is away for 90 s: what happens meanwhile is made up for, and the time does not count."""

import time

import pytest

from tests.support.cluster import faults, operator_pods
from tests.support.cluster.manifests import RESET
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.disruptive, pytest.mark.timeout(600)]

ABSENT_SECONDS = 90
START_SECONDS = 60
"""Shorter than the absence: a start that nobody attempted does not time out."""
BACK_SECONDS = 120
"""A new leader watches a session for up to 60 s before it gives anything up."""


def test_absent_operator_continues_or_ends_sessions_rightly_on_return(scenario: Scenario) -> None:
    scenario.kube.patch("voiceagent", "fake", scenario.namespace, {"spec": {"onLastHumanLeft": RESET}})
    live = scenario.start_session("live", start=START_SECONDS)
    lost = scenario.start_session("lost", start=START_SECONDS)
    scenario.start_session("left", start=START_SECONDS)
    for name in ("live", "lost"):
        scenario.join_human(name)
    leaver = scenario.join_human("left")
    sid = scenario.agent_sid(live)

    with faults.without(scenario.kube, "operator"):
        began = time.monotonic()
        scenario.apply_session("applied", start=START_SECONDS)
        leaver.leave()
        scenario.kube.delete("pod", lost.pod, scenario.namespace, "--wait=false")
        until(lambda: time.monotonic() - began > ABSENT_SECONDS, "the absence is over", ABSENT_SECONDS + 5)
    operator_pods.leader(scenario.kube, BACK_SECONDS)

    scenario.kube.wait("voicesession/applied", "condition=Ready", scenario.namespace, BACK_SECONDS)
    scenario.wait_for_reset("left", 1, BACK_SECONDS)
    until(lambda: scenario.session("lost").pod != lost.pod, "another pod for the lost one", BACK_SECONDS)
    scenario.kube.wait("voicesession/lost", "condition=Ready", scenario.namespace, BACK_SECONDS)
    after = {name: scenario.session(name) for name in ("live", "lost")}
    assert {name: session.status["humans"] for name, session in after.items()} == {"live": 1, "lost": 1}
    assert {name: session.status["resets"] for name, session in after.items()} == {"live": 0, "lost": 0}
    assert (after["live"].pod, scenario.agent_sid(live)) == (live.pod, sid)
    assert after["lost"].room == lost.room
