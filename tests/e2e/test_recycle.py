"""A recycle: a new pod comes into the same room before the old one goes."""

import time

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import RECYCLE, copy_of
from tests.support.cluster.scenario import Trial
from tests.support.observability.room_sampler import Attendance
from tests.support.participants.speaker import Guest
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

ALONE_SECONDS = 1.0
"""The longest that a person in the room may be without any agent, by docs/limits.md."""
NEW_POD_SECONDS = 90
"""A pod with speech models, on a busy machine; the old one serves meanwhile."""


def pod_names(trial: Trial) -> list[str]:
    return [pod["metadata"]["name"] for pod in trial.pods()]


@pytest.mark.speech
def test_whoever_returns_during_a_recycle_is_never_alone(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", "memory", onLastHumanLeft=RECYCLE))
    before = trial.ready("call", "agent-66", grace=0)
    with (
        Attendance(trial.livekit, before.room, before.identity) as agents,
        Guest(trial.livekit, before) as alice,
    ):
        first = agents.sids
        alice.come()
        until(lambda: trial.session("call").status.get("humans"), "status.humans", 30)
        left = alice.leave()
        agents.first_other_than(first, left, NEW_POD_SECONDS)
        alice.come()

        trial.reset_complete("call", 1)
        until(lambda: before.pod not in pod_names(trial), "the old pod gone", NEW_POD_SECONDS)
        always(lambda: bool(agents.sids), "an agent stays in the room", 1.0)

        alone = agents.longest_absence(left, time.time())
        print(f"agents seen: {agents.lived(left, time.time())}; longest time without one: {alone * 1000:.0f} ms")
        after = trial.session("call")
        alice.say("Test one", "test")
        alice.leave()
    assert after.is_true("AgentJoined")
    assert after.pod != before.pod
    assert (after.room, after.identity) == (before.room, before.identity)
    assert (after.status["recycles"], after.status["resets"], after.status["replacements"]) == (1, 1, 0)
    assert after.status["humans"] == 1
    assert alone <= ALONE_SECONDS
