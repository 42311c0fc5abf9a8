"""A recycle: a reset in the old pod at once, and a new pod beside it that takes over once its agent is in the room."""

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


def begun() -> SessionBuilder:
    return left().stored(decide(left(), joined_cluster(), NOW).status)


def new_pod(ordinal: int = 1, **values: object) -> AgentPod:
    given = {"ip": "10.0.0.2", "created_at": NOW, **values}
    return pod(ordinal, **given)  # type: ignore[arg-type]


def serving(*others: AgentPod, room: tuple[Participant, ...] = (agent_participant("PA_2"),)) -> ObservedBuilder:
    """The old pod has begun anew and serves."""
    old = bound(epoch=2, job_epoch=2, participant_sid="PA_2")
    return empty_cluster().pods(pod(0), *others).room(*room).state(old)


def waiting() -> SessionBuilder:
    """The old pod's reset is complete, the new pod is starting."""
    return begun().stored(decide(begun(), serving(new_pod(ip="")), NOW + 0.3).status)


def test_it_is_a_reset_and_wants_a_new_pod() -> None:
    found = decide(left(), joined_cluster(), NOW)
    status = found.status
    assert (found.is_decision, status.resets, status.recycles, status.agent_epoch) == (True, 1, 1, 2)
    assert (status.agent_pod, status.next_pod, status.replacements) == (pod(0).name, pod(1).name, 0)


def test_the_old_pod_is_told_and_the_new_one_made_at_once() -> None:
    made, told = decide(begun(), joined_cluster(), NOW).actions
    assert isinstance(made, CreatePod)
    assert made.manifest["metadata"]["name"] == pod(1).name
    assert isinstance(told, SetPodState)
    assert (told.pod_uid, told.epoch, told.cause) == ("pod-uid-0", 2, "LastHumanLeft")


def test_the_old_pods_reset_completes_it_while_the_new_one_starts() -> None:
    found = decide(begun(), serving(new_pod(ip="")), NOW + 0.3)
    assert (found.actions, reasons(found)) == ((), ["ResetComplete"])
    assert (found.status.agent_pod, found.status.next_pod) == (pod(0).name, pod(1).name)
    assert status_and_reason(found.status, "Ready")[0] == "True"


def test_the_new_pod_is_told_the_same_epoch_and_identity() -> None:
    (told,) = decide(waiting(), serving(new_pod()).state(AgentPodState("Unbound"), 1), NOW + 5).actions
    assert isinstance(told, SetPodState)
    assert (told.pod_uid, told.epoch, told.cause) == ("pod-uid-1", 2, "LastHumanLeft")


@pytest.mark.parametrize(
    ("new", "wait"), [(None, 0.25), (AgentPodState("Bound", session_uid="x"), 1.0), (bound(epoch=2), 1.0)]
)
def test_the_new_pod_is_asked_soon_while_the_old_one_serves(new: AgentPodState | None, wait: float) -> None:
    assert decide(waiting(), serving(new_pod()).state(new, 1), NOW + 5).requeue_after == wait


def test_the_old_pod_goes_when_the_new_one_is_seen() -> None:
    new = bound(epoch=2, job_epoch=2, participant_sid="PA_3")
    found = decide(waiting(), serving(new_pod(), room=(agent_participant("PA_3"),)).state(new, 1), NOW + 6)
    assert found.actions == (DeletePod(pod(0).name, "pod-uid-0", 5),)
    assert (found.status.agent_pod, found.status.next_pod, found.status.replacements) == (pod(1).name, "", 0)
    assert (status_and_reason(found.status, "Ready")[0], reasons(found)) == ("True", ["Recycled"])


@pytest.mark.parametrize("listed", [(), (agent_participant("PA_3", active=False),), (agent_participant("PA_3"),)])
def test_the_moment_between_two_agents(listed: tuple[Participant, ...]) -> None:
    """LiveKit puts the old one out 0.1 s before the new one, whom it lists as joining, is ACTIVE."""
    new = bound(epoch=2, job_epoch=2, participant_sid="")
    found = decide(waiting(), serving(new_pod(), room=listed).state(new, 1), NOW + 6)
    assert status_and_reason(found.status, "Ready")[0] == ("True" if listed else "False")
    assert (found.actions, found.events) == ((), ())


def test_who_returns_meanwhile_talks_on_when_the_new_pod_is_made_again() -> None:
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


def test_the_old_pod_is_called_back_when_its_successor_put_it_out_and_was_lost() -> None:
    out = bound(epoch=2, job_epoch=2, participant_sid="")
    lost = serving(new_pod(phase="Failed"), room=()).state(out)
    counted = decide(waiting(), lost, NOW + 8).status
    tells = [
        action for action in decide(waiting().stored(counted), lost, NOW + 8).actions if isinstance(action, SetPodState)
    ]
    assert [(tell.pod_uid, tell.epoch) for tell in tells] == [("pod-uid-0", 3)]
    coming = serving(new_pod(2), room=()).state(out)
    assert [
        name for name in action_kinds(decide(waiting().stored(counted), coming, NOW + 9)) if name == "SetPodState"
    ] == []


def test_a_new_pod_that_does_not_come_in_is_made_again() -> None:
    world = serving(new_pod(phase="Pending", ip=""))
    assert decide(waiting(), world, LATE - 0.1).is_decision is False
    found = decide(waiting(), world, LATE)
    assert (found.is_decision, found.status.replacements, found.status.next_pod) == (True, 1, pod(2).name)
    assert decide(waiting().stored(found.status), world, LATE).actions == (DeletePod(pod(1).name, "pod-uid-1", 5),)


def test_each_failure_waits_longer() -> None:
    twice = waiting().status(replacements=2, next_pod=pod(3).name)
    ended = serving(new_pod(3, phase="Failed"))
    early = decide(twice, ended, NOW + 3.5)
    assert (early.is_decision, early.actions, early.requeue_after) == (False, (), 0.5)
    assert decide(twice, ended, NOW + 4).is_decision is True


def test_with_all_replacements_used_up_the_old_one_goes_on() -> None:
    used = waiting().limits(max_replacements=0)
    found = decide(used, serving(new_pod(phase="Failed")), NOW + 8)
    assert (found.is_decision, found.status.next_pod, found.status.replacements) == (True, "", 0)
    stored = used.stored(found.status)
    assert action_kinds(decide(stored, serving(new_pod(phase="Failed")), NOW + 8)) == ["DeletePod"]
    rest = decide(stored, serving(), NOW + 9)
    assert (rest.actions, rest.status.agent_pod, rest.status.end_reason) == ((), pod(0).name, "")
    late = decide(used, serving(new_pod(phase="Pending", ip="")), LATE)
    assert (late.is_decision, late.actions) == (False, ())


def test_the_next_recycle_then_gets_a_pod_of_its_own() -> None:
    given_up = decide(waiting().limits(max_replacements=0), serving(new_pod(phase="Failed")), NOW + 8).status
    gone = {"last_human_left_at": NOW + 50, "last_human_left_reason": "Left"}
    again = decide(waiting().stored(given_up).status(**gone), serving(), NOW + 60)
    assert (again.status.recycles, again.status.next_pod) == (2, pod(2).name)


def test_the_old_pod_may_die_first() -> None:
    found = decide(waiting(), serving(new_pod()).pods(pod(0, phase="Failed"), new_pod()).room(), NOW + 4)
    assert (found.status.agent_pod, found.status.next_pod, found.status.replacements) == (pod(1).name, "", 0)
    assert status_and_reason(found.status, "Ready")[0] == "False"
    assert found.actions == (DeletePod(pod(0).name, "pod-uid-0", 5),)
    both = decide(waiting(), empty_cluster().pods(pod(0, phase="Failed"), new_pod(phase="Failed")).room(), NOW + 4)
    assert [name for name in action_kinds(both) if name == "CreatePod"] == ["CreatePod"]


def test_a_reset_that_hangs_gives_the_old_pod_up_for_the_one_that_is_coming() -> None:
    hangs = empty_cluster().pods(pod(0), new_pod()).room(agent_participant())
    found = decide(begun(), hangs, NOW + 10)
    assert (found.status.agent_pod, found.status.next_pod, found.status.replacements) == (pod(1).name, "", 0)
    assert "ResetEscalated" in reasons(found)
    assert decide(begun().stored(found.status), hangs, NOW + 10).actions == (DeletePod(pod(0).name, "pod-uid-0", 5),)


def test_while_a_pod_is_coming_the_next_visit_brings_a_reset_only() -> None:
    gone = {"last_human_left_at": NOW + 3, "last_human_left_reason": "Left"}
    found = decide(waiting().status(**gone), serving(new_pod(ip="")), NOW + 6)
    assert (found.status.resets, found.status.recycles, found.status.next_pod) == (2, 1, pod(1).name)
    told = decide(
        waiting().stored(found.status), serving(new_pod()).state(AgentPodState("Unbound"), 1), NOW + 6
    ).actions
    assert {(tell.pod_uid, tell.epoch) for tell in told if isinstance(tell, SetPodState)} == {
        ("pod-uid-0", 3),
        ("pod-uid-1", 3),
    }


def test_an_agent_that_is_missing_needs_no_second_pod_beside_it() -> None:
    lost = decide(left(), joined_cluster().room().state(bound(participant_sid="")), NOW - 2).status
    found = decide(left().stored(lost), joined_cluster().room().state(bound(participant_sid="")), NOW)
    assert (found.status.resets, found.status.recycles) == (1, 0)
    assert condition(found.status, "AgentJoined").reason == "Resetting"
