"""A VoiceAgent that is deleted and applied again with other settings under live calls."""

import pytest

from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json
from tests.support.cluster.scenario import Scenario
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

NAMES = ("one", "two", "three")
LIMITS = {"startSeconds": 180, "joinSeconds": 600, "maxDurationSeconds": 3600}
SHORT = {**LIMITS, "maxDurationSeconds": 1}
"""Every call is older than this when the second VoiceAgent is applied."""
ON_LAST_HUMAN_LEFT = {"action": "Reset", "graceSeconds": 0, "reconnectGraceSeconds": 0}
QUIET_SECONDS = 5


def test_replaced_voiceagent_changes_no_live_call(scenario: Scenario) -> None:
    scenario.kube.apply(_agent(scenario, limits=LIMITS, onLastHumanLeft=ON_LAST_HUMAN_LEFT))
    scenario.kube.apply(*(_session(scenario, name) for name in NAMES))
    for name in NAMES:
        scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, 120)
    humans = {name: scenario.join_human(name) for name in NAMES}
    before = _agents(scenario)

    scenario.kube.delete("voiceagent", "changing", scenario.namespace, "--timeout=20s")
    always(lambda: _live_calls(scenario) == set(NAMES), "calls without a VoiceAgent go on", QUIET_SECONDS)
    scenario.kube.apply(_agent(scenario, limits=SHORT, onLastHumanLeft={"action": "Teardown", "graceSeconds": 0}))
    always(lambda: _live_calls(scenario) == set(NAMES), "calls with another VoiceAgent go on", QUIET_SECONDS)

    assert _agents(scenario) == before
    humans["one"].leave()
    assert scenario.wait_for_reset("one", 1).end_reason == "", "the action is that of the session's start"

    scenario.kube.apply(_session(scenario, "new"))
    ended = until(lambda: _finished(scenario, "new"), "a new session has the new limits", 120)
    assert ended == "MaxDuration"


def _agent(scenario: Scenario, **spec: Json) -> Json:
    document = manifests.fake_agent("changing", scenario.namespace)
    return {**document, "spec": document["spec"] | spec}


def _session(scenario: Scenario, name: str) -> Json:
    document = manifests.session(name, scenario.namespace, "changing")
    return {**document, "spec": {"agentRef": {"name": "changing"}, "ttlSecondsAfterFinished": 600}}


def _live_calls(scenario: Scenario) -> set[str]:
    sessions = {name: scenario.session(name) for name in NAMES}
    return {name for name, found in sessions.items() if found.is_true("Ready") and found.status["humans"] == 1}


def _agents(scenario: Scenario) -> dict[str, str]:
    return {name: scenario.agent_sid(scenario.session(name)) for name in NAMES}


def _finished(scenario: Scenario, name: str) -> str:
    found = scenario.find_session(name)
    return found.end_reason if found else ""
