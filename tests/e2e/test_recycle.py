"""A recycle: the agent of a new pod joins the room before the old pod is deleted."""

import time

import pytest
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.cluster.kubectl import Json
from tests.support.cluster.manifests import RECYCLE, copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.observability.room_sampler import RoomSampler
from tests.support.participants.speaker import Speaker
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

NEW_POD_SECONDS = 90
"""Start of a pod with speech models on a busy machine; the old pod serves until then."""
GAP_SECONDS = 10.0
"""Upper bound of the time without an agent: shorter than the start of a pod, longer than any delay of a busy machine.
docs/limits.md has the usual time."""
TIMESTAMP_SECONDS = 1.0
"""Resolution of Kubernetes' timestamps."""


def pod_names(scenario: Scenario) -> list[str]:
    """Return the names of the agent pods."""
    return [pod["metadata"]["name"] for pod in scenario.agent_pods()]


def deletion_time(scenario: Scenario, pod: str) -> float | None:
    """Return the Unix time of the pod's deletion request, or now if the pod is gone; None if it is not deleted."""
    raw = scenario.kube.get("pod", pod, scenario.namespace)
    if raw is None:
        return time.time()
    end = from_rfc3339(raw["metadata"].get("deletionTimestamp"))
    return None if end is None else end - raw["metadata"].get("deletionGracePeriodSeconds", 0)


@pytest.mark.speech
def test_room_keeps_agent_during_recycle(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(
        copy_of(agent_66, "agent-66", scenario.namespace, "greeting", "memory", onLastHumanLeft=RECYCLE)
    )
    before = scenario.start_session("call", "agent-66", grace=0)
    with (
        RoomSampler(scenario.livekit, before.room, before.identity) as agents,
        Speaker(scenario.livekit, before) as alice,
    ):
        first = agents.sids
        alice.join()
        until(lambda: scenario.session("call").status.get("humans"), "status.humans", 30)
        left = alice.leave()
        agents.wait_for_new_sid(first, left, NEW_POD_SECONDS)
        alice.join()

        deleted = until(lambda: deletion_time(scenario, before.pod), "deletion of the old pod", NEW_POD_SECONDS)
        scenario.wait_for_reset("call", 1)
        until(lambda: before.pod not in pod_names(scenario), "the old pod gone", NEW_POD_SECONDS)
        always(lambda: bool(agents.sids), "an agent stays in the room", 1.0)

        end = time.time()
        gap = agents.longest_gap(left, end)
        print(f"agents seen: {agents.seen_sids(left, end)}; longest time without agent: {gap * 1000:.0f} ms")
        after = scenario.session("call")
        successor = scenario.livekit.participants(before.room)[before.identity]
        alice.say("Test one", "test")
        alice.leave()
    assert after.is_true("AgentJoined")
    assert after.pod != before.pod
    assert (after.room, after.identity) == (before.room, before.identity)
    assert (after.status["recycles"], after.status["resets"], after.status["replacements"]) == (1, 1, 0)
    assert after.status["humans"] == 1
    assert successor.sid not in first
    assert successor.joined_at_ms / 1000 < deleted + TIMESTAMP_SECONDS, (
        "the old pod was deleted before the new agent joined"
    )
    assert gap <= GAP_SECONDS
