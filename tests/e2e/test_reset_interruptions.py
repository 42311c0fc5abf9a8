"""Resets that something else overtakes: each ends in one consistent state."""

import pytest
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.cluster import operator_pods
from tests.support.cluster.kubectl import Session
from tests.support.cluster.manifests import RESET
from tests.support.cluster.scenario import Trial
from tests.support.participants.speaker import Guest
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

RESET_SECONDS = 8
"""Long enough to be overtaken, and shorter than the 10 s after which a pod is given up."""
BUSY = 20
QUIET_SECONDS = 3
AFTER_A_DEATH_SECONDS = operator_pods.TAKEOVER_SECONDS + 30


def ready(trial: Trial) -> Session:
    """A session whose resets take their time."""
    trial.fake_agent("slow", FAKE_AGENT_RESET_SECONDS=str(RESET_SECONDS))
    trial.kube.patch("voiceagent", "slow", trial.namespace, {"spec": {"onLastHumanLeft": RESET}})
    return trial.ready("call", "slow", grace=0, reconnect_grace=0)


def begin_reset(trial: Trial) -> None:
    """Somebody comes and leaves; the reset for that is under way on return."""
    trial.visit("call").leave()
    until(lambda: outcome(trial) == "Running", "a reset", BUSY)


def outcome(trial: Trial) -> str:
    return str((trial.session("call").status.get("lastReset") or {}).get("outcome", ""))


def test_an_end_during_a_reset_ends_it(trial: Trial) -> None:
    ready(trial)
    begin_reset(trial)

    trial.kube.patch("voicesession", "call", trial.namespace, {"spec": {"end": True}})

    ended = trial.finished("call", BUSY)
    assert ended.end_reason == "Requested"
    assert (ended.status["resets"], ended.status["replacements"]) == (1, 0)
    assert ended.status["lastReset"]["outcome"] == "Running", "the reset was over before the end came"
    trial.gone()


@pytest.mark.speech
def test_somebody_who_comes_during_a_reset_is_not_alone_after_it(trial: Trial) -> None:
    before = ready(trial)
    with Guest(trial.livekit, before, "bob") as bob:
        begin_reset(trial)
        came = bob.come()

        after = trial.reset_complete("call", 1, RESET_SECONDS + BUSY)
        until(lambda: trial.session("call").status["humans"] == 1, "one human", BUSY)
        completed = from_rfc3339(after.status["lastReset"]["completedAt"]) or 0.0
        assert came < completed, "the reset was over before he came"
        assert (after.pod, after.status["replacements"]) == (before.pod, 0)
        always(lambda: trial.session("call").status["resets"] == 1, "no further reset", QUIET_SECONDS)
        assert set(trial.livekit.participants(before.room)) == {before.identity, "bob"}


@pytest.mark.disruptive
def test_a_leader_that_dies_during_a_reset_leaves_one_reset_behind(trial: Trial) -> None:
    before = ready(trial)
    begin_reset(trial)

    operator_pods.kill_leader(trial.kube)
    assert outcome(trial) == "Running", "the reset was over before the leader died"

    after = trial.reset_complete("call", 1, AFTER_A_DEATH_SECONDS)
    assert after.status["lastReset"]["cause"] == "LastHumanLeft"
    assert (after.pod, after.status["humans"], after.status["replacements"]) == (before.pod, 0, 0)
    always(lambda: trial.session("call").status["resets"] == 1, "no further reset", QUIET_SECONDS)
    assert set(trial.livekit.participants(before.room)) == {before.identity}
    until(lambda: operator_pods.all_ready(trial.kube), "both operators", 120)
