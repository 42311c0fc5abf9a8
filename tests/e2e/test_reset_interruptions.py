"""Resets interrupted by an end, a new human, or the death of the leader: each ends in a consistent state."""

import pytest
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.cluster import operator_pods
from tests.support.cluster.kubectl import Session
from tests.support.cluster.manifests import RESET
from tests.support.cluster.scenario import Scenario
from tests.support.participants.speaker import Speaker
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

RESET_SECONDS = 8
"""Long enough to be interrupted, and shorter than the 10 s until escalation."""
BUSY = 20
QUIET_SECONDS = 3
AFTER_DEATH_SECONDS = operator_pods.TAKEOVER_SECONDS + 30


def start_slow_session(scenario: Scenario) -> Session:
    """Start a session with slow resets."""
    scenario.apply_fake_agent("slow", FAKE_AGENT_RESET_SECONDS=str(RESET_SECONDS))
    scenario.kube.patch("voiceagent", "slow", scenario.namespace, {"spec": {"onLastHumanLeft": RESET}})
    return scenario.start_session("call", "slow", grace=0, reconnect_grace=0)


def begin_reset(scenario: Scenario) -> None:
    """Let a human join and leave; return when the reset is running."""
    scenario.join_human("call").leave()
    until(lambda: outcome(scenario) == "Running", "a reset", BUSY)


def outcome(scenario: Scenario) -> str:
    """Return the outcome of the last reset."""
    return str((scenario.session("call").status.get("lastReset") or {}).get("outcome", ""))


def test_end_during_reset_ends_session(scenario: Scenario) -> None:
    start_slow_session(scenario)
    begin_reset(scenario)

    scenario.kube.patch("voicesession", "call", scenario.namespace, {"spec": {"end": True}})

    ended = scenario.wait_until_finished("call", BUSY)
    assert ended.end_reason == "Requested"
    assert (ended.status["resets"], ended.status["replacements"]) == (1, 0)
    assert ended.status["lastReset"]["outcome"] == "Running", "the reset ended before the session"
    scenario.wait_until_empty()


@pytest.mark.speech
def test_human_joining_during_reset_gets_agent(scenario: Scenario) -> None:
    before = start_slow_session(scenario)
    with Speaker(scenario.livekit, before, "bob") as bob:
        begin_reset(scenario)
        joined = bob.join()

        after = scenario.wait_for_reset("call", 1, RESET_SECONDS + BUSY)
        until(lambda: scenario.session("call").status["humans"] == 1, "one human", BUSY)
        completed = from_rfc3339(after.status["lastReset"]["completedAt"]) or 0.0
        assert joined < completed, "the reset ended before the human joined"
        assert (after.pod, after.status["replacements"]) == (before.pod, 0)
        always(lambda: scenario.session("call").status["resets"] == 1, "no further reset", QUIET_SECONDS)
        assert set(scenario.livekit.participants(before.room)) == {before.identity, "bob"}


@pytest.mark.slow
@pytest.mark.disruptive
def test_leader_death_during_reset_completes_single_reset(scenario: Scenario) -> None:
    before = start_slow_session(scenario)
    begin_reset(scenario)

    operator_pods.kill_leader(scenario.kube)
    assert outcome(scenario) == "Running", "the reset ended before the death of the leader"

    after = scenario.wait_for_reset("call", 1, AFTER_DEATH_SECONDS)
    assert after.status["lastReset"]["cause"] == "LastHumanLeft"
    assert (after.pod, after.status["humans"], after.status["replacements"]) == (before.pod, 0, 0)
    always(lambda: scenario.session("call").status["resets"] == 1, "no further reset", QUIET_SECONDS)
    assert set(scenario.livekit.participants(before.room)) == {before.identity}
    until(lambda: operator_pods.all_ready(scenario.kube), "both operators", 120)
