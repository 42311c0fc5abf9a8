"""A recycle: an immediate reset in the old pod, and a new pod that takes over once its agent is in the room."""

import pytest
from voicesession_operator.domain.actions import CreatePod, DeletePod, SetPodState
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Participant

from tests.support.builders import (
    T0,
    ObservedBuilder,
    SessionBuilder,
    agent_participant,
    bound,
    empty_cluster,
    human,
    joined_cluster,
    pod,
    ready_session,
)
from tests.support.plan_queries import action_kinds, condition, decide, reasons, status_and_reason

NOW = T0 + 100
LATE = NOW + 60


def left() -> SessionBuilder:
    gone = {"first_human_at": T0 + 20, "last_human_left_at": NOW - 3, "last_human_left_reason": "Left"}
    return ready_session().action("Recycle").status(**gone)


def resetting() -> SessionBuilder:
    return left().stored(decide(left(), joined_cluster(), NOW).status)


def new_pod(ordinal: int = 1, **values: object) -> AgentPod:
    given = {"ip": "10.0.0.2", "created_at": NOW, **values}
    return pod(ordinal, **given)  # type: ignore[arg-type]


def serving(*others: AgentPod, room: tuple[Participant, ...] = (agent_participant("PA_2"),)) -> ObservedBuilder:
    """Return a cluster with a reset old pod that serves."""
    old = bound(epoch=2, job_epoch=2, participant_sid="PA_2")
    return empty_cluster().pods(pod(0), *others).room(*room).state(old)


def waiting() -> SessionBuilder:
    """Return a session after the reset of the old pod, while the new pod is starting."""
    return resetting().stored(decide(resetting(), serving(new_pod(ip="")), NOW + 0.3).status)


def test_recycle_counts_as_reset_and_names_next_pod() -> None:
    found = decide(left(), joined_cluster(), NOW)
    status = found.status
    assert (found.is_decision, status.resets, status.recycles, status.agent_epoch) == (True, 1, 1, 2)
    assert (status.agent_pod, status.next_pod, status.replacements) == (pod(0).name, pod(1).name, 0)


def test_recycle_resets_old_pod_and_creates_new_pod() -> None:
    created, sent = decide(resetting(), joined_cluster(), NOW).actions
    assert isinstance(created, CreatePod)
    assert created.manifest["metadata"]["name"] == pod(1).name
    assert isinstance(sent, SetPodState)
    assert (sent.pod_uid, sent.epoch, sent.cause) == ("pod-uid-0", 2, "LastHumanLeft")


def test_reset_in_old_pod_completes_during_start_of_new_pod() -> None:
    found = decide(resetting(), serving(new_pod(ip="")), NOW + 0.3)
    assert (found.actions, reasons(found)) == ((), ["ResetComplete"])
    assert (found.status.agent_pod, found.status.next_pod) == (pod(0).name, pod(1).name)
    assert status_and_reason(found.status, "Ready")[0] == "True"


def test_new_pod_gets_epoch_and_cause_of_reset() -> None:
    (sent,) = decide(waiting(), serving(new_pod()).state(AgentPodState("Unbound"), 1), NOW + 5).actions
    assert isinstance(sent, SetPodState)
    assert (sent.pod_uid, sent.epoch, sent.cause) == ("pod-uid-1", 2, "LastHumanLeft")


@pytest.mark.parametrize(
    ("new", "wait"),
    [(None, 2.0), (AgentPodState("Bound", session_uid="x"), 1.0), (bound(epoch=2, participant_sid=""), 1.0)],
)
def test_new_pod_is_polled_while_old_pod_serves(new: AgentPodState | None, wait: float) -> None:
    assert decide(waiting(), serving(new_pod()).state(new, 1), NOW + 5).requeue_after == wait


def test_old_pod_is_deleted_after_takeover() -> None:
    new = bound(epoch=2, job_epoch=2, participant_sid="PA_3")
    found = decide(waiting(), serving(new_pod(), room=(agent_participant("PA_3"),)).state(new, 1), NOW + 6)
    assert found.actions == (DeletePod(pod(0).name, "pod-uid-0"),)
    assert (found.status.agent_pod, found.status.next_pod, found.status.replacements) == (pod(1).name, "", 0)
    assert (status_and_reason(found.status, "Ready")[0], reasons(found)) == ("True", ["Recycled"])


@pytest.mark.parametrize("listed", [(), (agent_participant("PA_3", active=False),), (agent_participant("PA_3"),)])
def test_takeover_keeps_ready_while_agent_identity_is_listed(listed: tuple[Participant, ...]) -> None:
    """LiveKit disconnects the old agent 0.1 s before the new one, listed as joining, is ACTIVE."""
    new = bound(epoch=2, job_epoch=2, participant_sid="")
    found = decide(waiting(), serving(new_pod(), room=listed).state(new, 1), NOW + 6)
    assert status_and_reason(found.status, "Ready")[0] == ("True" if listed else "False")
    assert (found.actions, found.events) == ((), ())


def test_failed_new_pod_is_replaced_during_conversation() -> None:
    ended = serving(new_pod(phase="Failed"), room=(agent_participant("PA_2"), human()))
    found = decide(waiting(), ended, NOW + 8)
    assert (found.is_decision, found.status.replacements, found.status.next_pod) == (True, 1, pod(2).name)
    assert (found.status.agent_epoch, reasons(found)) == (3, ["AgentReplaced", "HumanJoined"])
    after = decide(waiting().stored(found.status), ended, NOW + 8)
    assert action_kinds(after) == ["CreatePod", "DeletePod"]
    assert (after.status.agent_pod, after.status.humans, status_and_reason(after.status, "Ready")[0]) == (
        pod(0).name,
        1,
        "True",
    )


def test_old_pod_rejoins_after_loss_of_new_pod() -> None:
    out = bound(epoch=2, job_epoch=2, participant_sid="")
    lost = serving(new_pod(phase="Failed"), room=()).state(out)
    counted = decide(waiting(), lost, NOW + 8).status
    sent = [
        action for action in decide(waiting().stored(counted), lost, NOW + 8).actions if isinstance(action, SetPodState)
    ]
    assert [(action.pod_uid, action.epoch) for action in sent] == [("pod-uid-0", 3)]
    starting = serving(new_pod(2), room=()).state(out)
    assert [
        name for name in action_kinds(decide(waiting().stored(counted), starting, NOW + 9)) if name == "SetPodState"
    ] == []


def test_late_new_pod_is_replaced() -> None:
    cluster = serving(new_pod(phase="Pending", ip=""))
    assert decide(waiting(), cluster, LATE - 0.1).is_decision is False
    found = decide(waiting(), cluster, LATE)
    assert (found.is_decision, found.status.replacements, found.status.next_pod) == (True, 1, pod(2).name)
    assert decide(waiting().stored(found.status), cluster, LATE).actions == (DeletePod(pod(1).name, "pod-uid-1"),)


def test_failed_new_pods_back_off() -> None:
    twice = waiting().status(replacements=2, next_pod=pod(3).name)
    ended = serving(new_pod(3, phase="Failed"))
    early = decide(twice, ended, NOW + 3.5)
    assert (early.is_decision, early.actions, early.requeue_after) == (False, (), 0.5)
    assert decide(twice, ended, NOW + 4).is_decision is True


def test_old_pod_serves_without_replacements_left() -> None:
    used = waiting().limits(max_replacements=0)
    found = decide(used, serving(new_pod(phase="Failed")), NOW + 8)
    assert (found.is_decision, found.status.next_pod, found.status.replacements) == (True, "", 0)
    stored = used.stored(found.status)
    assert action_kinds(decide(stored, serving(new_pod(phase="Failed")), NOW + 8)) == ["DeletePod"]
    rest = decide(stored, serving(), NOW + 9)
    assert (rest.actions, rest.status.agent_pod, rest.status.end_reason) == ((), pod(0).name, "")
    late = decide(used, serving(new_pod(phase="Pending", ip="")), LATE)
    assert (late.is_decision, late.actions) == (False, ())


def test_recycle_after_failed_recycle_creates_new_pod() -> None:
    failed = decide(waiting().limits(max_replacements=0), serving(new_pod(phase="Failed")), NOW + 8).status
    gone = {"last_human_left_at": NOW + 50, "last_human_left_reason": "Left"}
    again = decide(waiting().stored(failed).status(**gone), serving(), NOW + 60)
    assert (again.status.recycles, again.status.next_pod) == (2, pod(2).name)


def test_new_pod_takes_over_after_loss_of_old_pod() -> None:
    found = decide(waiting(), serving(new_pod()).pods(pod(0, phase="Failed"), new_pod()).room(), NOW + 4)
    assert (found.status.agent_pod, found.status.next_pod, found.status.replacements) == (pod(1).name, "", 0)
    assert status_and_reason(found.status, "Ready")[0] == "False"
    assert found.actions == (DeletePod(pod(0).name, "pod-uid-0"),)
    both = decide(waiting(), empty_cluster().pods(pod(0, phase="Failed"), new_pod(phase="Failed")).room(), NOW + 4)
    assert [name for name in action_kinds(both) if name == "CreatePod"] == ["CreatePod"]


def test_hanging_reset_promotes_new_pod() -> None:
    hanging = empty_cluster().pods(pod(0), new_pod()).room(agent_participant())
    found = decide(resetting(), hanging, NOW + 10)
    assert (found.status.agent_pod, found.status.next_pod, found.status.replacements) == (pod(1).name, "", 0)
    assert "ResetEscalated" in reasons(found)
    assert decide(resetting().stored(found.status), hanging, NOW + 10).actions == (DeletePod(pod(0).name, "pod-uid-0"),)


def test_visit_during_recycle_causes_reset_only() -> None:
    gone = {"last_human_left_at": NOW + 3, "last_human_left_reason": "Left"}
    found = decide(waiting().status(**gone), serving(new_pod(ip="")), NOW + 6)
    assert (found.status.resets, found.status.recycles, found.status.next_pod) == (2, 1, pod(1).name)
    sent = decide(
        waiting().stored(found.status), serving(new_pod()).state(AgentPodState("Unbound"), 1), NOW + 6
    ).actions
    assert {(action.pod_uid, action.epoch) for action in sent if isinstance(action, SetPodState)} == {
        ("pod-uid-0", 3),
        ("pod-uid-1", 3),
    }


def test_reset_without_agent_does_not_recycle() -> None:
    lost = decide(left(), joined_cluster().room().state(bound(participant_sid="")), NOW - 2).status
    found = decide(left().stored(lost), joined_cluster().room().state(bound(participant_sid="")), NOW)
    assert (found.status.resets, found.status.recycles) == (1, 0)
    assert condition(found.status, "AgentJoined").reason == "Resetting"
