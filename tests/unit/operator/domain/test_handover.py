"""Handover of a conversation from an ending pod to its replacement."""

import pytest
from voicesession_operator.domain.actions import CreatePod, PodAddress, SetPodState
from voicesession_operator.domain.observed import AgentPodState

from tests.support.builders import (
    T0,
    ObservedBuilder,
    SessionBuilder,
    agent_participant,
    bound,
    empty_cluster,
    human,
    pod,
    ready_session,
)
from tests.support.plan_queries import decide, status_and_reason

NOW = T0 + 50
ENDING = pod(0, deleting=True, ip="10.0.0.7")
UNBOUND = AgentPodState("Unbound")
HANDING_OVER = ("True", "HandingOver")


def drained(*more: AgentPodState) -> ObservedBuilder:
    """Return a call whose pod is ending, with the replacement in this state."""
    cluster = empty_cluster().pods(ENDING, *(pod(1) for _ in more)).room(agent_participant(), human())
    return cluster.state(more[0], 1) if more else cluster


def call() -> SessionBuilder:
    return ready_session().status(humans=1)


def desired(cluster: ObservedBuilder, session: SessionBuilder | None = None) -> list[SetPodState]:
    found = decide(session or call(), cluster, NOW).actions
    return [action for action in found if isinstance(action, SetPodState)]


def test_session_with_ending_pod_stays_ready() -> None:
    found = decide(call(), drained(), NOW)
    assert [type(action) for action in found.actions] == [CreatePod]
    assert status_and_reason(found.status, "AgentJoined") == HANDING_OVER
    assert status_and_reason(found.status, "Ready")[0] == "True"


def test_session_stays_ready_until_replacement_joins() -> None:
    first = decide(call(), drained(), NOW).status
    second = decide(call().stored(first), drained(UNBOUND), NOW + 1).status
    assert (second.replacements, second.agent_pod) == (1, pod(1).name)
    assert status_and_reason(second, "AgentJoined") == HANDING_OVER
    state = bound(epoch=second.agent_epoch, participant_epoch=str(second.agent_epoch))
    own = agent_participant(epoch=second.agent_epoch)
    joined = drained(state).room(own, human())
    assert status_and_reason(decide(call().stored(second), joined, NOW + 2).status, "AgentJoined") == ("True", "Joined")


def test_agent_is_missing_once_ending_pod_has_left() -> None:
    first = decide(call(), drained(), NOW).status
    gone = empty_cluster().pods(pod(1)).room(human()).state(UNBOUND, 1)
    found = decide(call().stored(first), gone, NOW + 25)
    assert status_and_reason(found.status, "AgentJoined") == ("False", "Starting")
    assert found.status.absence is not None
    assert not found.status.absence.left


def test_replacement_continues_conversation_of_ending_pod() -> None:
    (action,) = desired(drained(UNBOUND))
    assert (action.pod_uid, action.continues) == ("pod-uid-1", PodAddress("10.0.0.7", "pod-uid-0"))


def test_replacement_is_bound_after_models_are_loaded() -> None:
    assert desired(drained(AgentPodState("Preparing"))) == []
    alone = empty_cluster().pods(pod(1)).room(human()).state(AgentPodState("Preparing"), 1)
    assert [action.continues for action in desired(alone)] == [None]


@pytest.mark.parametrize(
    "cluster",
    [
        drained(UNBOUND).pods(pod(0, phase="Failed", deleting=True), pod(1)),
        drained(UNBOUND).pods(pod(1)),
        drained(UNBOUND).room(agent_participant()),
    ],
    ids=["ended", "gone", "no human"],
)
def test_replacement_without_predecessor_starts_conversation(cluster: ObservedBuilder) -> None:
    assert [action.continues for action in desired(cluster)] == [None]


def test_bound_replacement_gets_no_conversation_again() -> None:
    stored = decide(call(), drained(UNBOUND), NOW).status
    assert desired(drained(bound(epoch=stored.agent_epoch, participant_sid="")), call().stored(stored)) == []
