"""A reset: stored first, then told, complete when its agent is seen; a human may return at any moment."""

import pytest
from voicesession_common.api.voicesession import LastReset
from voicesession_operator.domain.actions import SetPodState
from voicesession_operator.domain.observed import AgentPodState

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
    session,
)
from tests.support.plan_queries import action_kinds, condition, decide, reasons, status_and_reason

NOW = T0 + 100


def left(at: float = NOW - 3, reason: str = "Left") -> SessionBuilder:
    """The last human left; the grace of 3 s is over now."""
    visited = ready_session().status(first_human_at=T0 + 20, last_human_left_at=at, last_human_left_reason=reason)
    return visited.action("Reset").status(phase="Grace")


def begun(at: float = NOW) -> SessionBuilder:
    return left(at - 3).stored(decide(left(at - 3), joined_cluster(), at).status)


def fresh(sid: str = "PA_2", **values: object) -> ObservedBuilder:
    """The job of epoch 2 is in the room."""
    state = bound(epoch=2, job_epoch=2, participant_sid=sid, **values)
    return joined_cluster().room(agent_participant(sid)).state(state)


def complete(at: float = NOW + 0.24) -> SessionBuilder:
    return begun().stored(decide(begun(), fresh(), at).status)


def test_it_is_stored_before_anything_is_told() -> None:
    found = decide(left(), joined_cluster(), NOW)
    status = found.status
    assert (found.is_decision, found.actions, found.events) == (True, (), ())
    assert (status.resets, status.recycles, status.agent_epoch) == (1, 0, 2)
    assert status.last_reset == LastReset("LastHumanLeft", NOW)
    assert (status.last_human_left_at, status.last_human_left_reason, status.phase) == (None, "", "Starting")
    assert status_and_reason(status, "AgentJoined") == status_and_reason(status, "Ready") == ("False", "Resetting")


@pytest.mark.parametrize(
    ("start", "seconds", "due"),
    [
        (left(NOW), 2.9, False),
        (left(NOW), 3, True),
        (left(NOW, "ConnectionLost"), 29.9, False),
        (left(NOW, "Unknown"), 30, True),
    ],
)
def test_both_graces_hold(start: SessionBuilder, seconds: float, due: bool) -> None:
    assert decide(start, joined_cluster(), NOW + seconds).is_decision is due


def test_the_pod_is_told_the_epoch_and_why() -> None:
    found = decide(begun(), joined_cluster(), NOW)
    (tell,) = found.actions
    assert isinstance(tell, SetPodState)
    assert (tell.epoch, tell.cause, found.requeue_after) == (2, "LastHumanLeft", 0.05)
    assert found.status == begun().build().status


@pytest.mark.parametrize(
    "world",
    [
        joined_cluster().state(bound(epoch=2, job_epoch=1, participant_sid="")),
        joined_cluster().state(bound(epoch=2, job_epoch=2, participant_sid="")),
        joined_cluster().room().state(bound(epoch=2, job_epoch=2, participant_sid="")),
        joined_cluster().room(agent_participant("PA_2", active=False)).state(bound(epoch=2, job_epoch=2)),
        joined_cluster().state(bound(epoch=2, job_epoch=1)),
    ],
)
def test_whoever_is_not_of_the_new_epoch_is_not_ready(world: ObservedBuilder) -> None:
    found = decide(begun(), world, NOW + 0.1)
    assert (found.status, found.actions, found.events) == (begun().build().status, (), ())
    assert found.requeue_after == 0.05


def test_a_slow_reset_is_looked_at_less_often() -> None:
    told = joined_cluster().state(bound(epoch=2, participant_sid=""))
    assert decide(begun(), told, NOW + 2).requeue_after == 0.25


def test_complete_when_the_new_job_is_seen() -> None:
    found = decide(begun(), fresh(), NOW + 0.24)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW, NOW + 0.24, "Complete")
    assert (status_and_reason(found.status, "Ready")[0], found.status.phase) == ("True", "Ready")
    (event,) = found.events
    message = "Reset 1 (LastHumanLeft) complete after 0.24 s"
    assert (event.type, event.reason, event.message) == ("Normal", "ResetComplete", message)


@pytest.mark.parametrize("seconds", [1, 60, 3000])
def test_after_it_nobody_has_to_come(seconds: float) -> None:
    found = decide(
        complete(), fresh(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW - 3), NOW + seconds
    )
    assert (found.status, found.actions, found.is_decision) == (complete().build().status, (), False)


def test_only_the_maximum_duration_ends_it_then() -> None:
    assert decide(complete(), fresh(), T0 + 5 + 3600).status.end_reason == "MaxDuration"


def test_nobody_came_does_not_hold_for_whom_somebody_came_to() -> None:
    assert decide(complete().limits(join_seconds=1), fresh(), NOW + 900).status.end_reason == ""


def test_who_returns_before_it_keeps_her_conversation() -> None:
    found = decide(left(), joined_cluster().room(agent_participant(), human()), NOW)
    assert (found.is_decision, found.status.resets, found.status.last_human_left_at) == (False, 0, None)


def test_who_returns_after_it_is_served_by_the_new_agent() -> None:
    there = joined_cluster().room(agent_participant(), human())
    assert action_kinds(decide(begun(), there, NOW + 0.02)) == ["SetPodState"]
    stored = begun().stored(decide(begun(), there, NOW + 0.02).status)
    found = decide(stored, fresh().room(agent_participant("PA_2"), human()), NOW + 0.3)
    assert (found.status.phase, found.status.humans, reasons(found)) == ("Active", 1, ["ResetComplete"])


def test_who_comes_and_goes_during_a_reset_brings_the_next_one() -> None:
    there = decide(begun(), joined_cluster().room(agent_participant(), human()), NOW + 0.02)
    waiting = decide(begun().stored(there.status).graces(0, 0), joined_cluster(), NOW + 0.1)
    assert (waiting.is_decision, waiting.status.resets, waiting.status.phase) == (False, 1, "Grace")
    done = decide(begun().stored(waiting.status).graces(0, 0), fresh(), NOW + 0.3)
    assert (done.is_decision, done.status.resets, reasons(done)) == (True, 1, ["ResetComplete"])
    again = decide(begun().stored(done.status).graces(0, 0), fresh(), NOW + 0.3)
    assert (again.is_decision, again.status.resets) == (True, 2)


def test_each_visit_brings_one_reset() -> None:
    there = decide(complete(), fresh().room(agent_participant("PA_2"), human()), NOW + 50)
    gone = decide(complete().stored(there.status), fresh(), NOW + 60)
    assert gone.status.phase == "Grace"
    second = decide(complete().stored(gone.status), fresh(), NOW + 90)
    assert (second.is_decision, second.status.resets, second.status.agent_epoch) == (True, 2, 3)


def test_a_visit_that_only_the_agent_has_seen_brings_one_too() -> None:
    told = fresh(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW + 20)
    found = decide(complete(), told, NOW + 22)
    assert (found.status.last_human_left_reason, found.status.last_human_left_at) == ("Left", NOW + 21)
    unseen = ready_session().action("Reset")
    first = joined_cluster().state(bound(left_identity="alice", left_at=T0 + 50))
    assert decide(unseen, first, T0 + 52).status.first_human_at == T0 + 50
    assert decide(ready_session(), first, T0 + 52).status.first_human_at is None


@pytest.mark.parametrize("world", [joined_cluster(), joined_cluster().state(None), empty_cluster().room()])
def test_end_and_deletion_win_at_every_moment(world: ObservedBuilder) -> None:
    for start in (left(), begun()):
        assert decide(start.ending(), world, NOW).status.end_reason == "Requested"
        assert decide(start.limits(max_duration_seconds=1), world, NOW).status.end_reason == "MaxDuration"
        assert set(action_kinds(decide(start.deleting(), world, NOW))) <= {"DeleteRoom", "DeletePod"}


def test_a_silent_livekit_resets_nothing() -> None:
    assert decide(left(), joined_cluster().livekit_down(), NOW + 500).is_decision is False
    down = decide(begun(), joined_cluster().livekit_down(), NOW + 500)
    assert (down.is_decision, down.status.end_reason, status_and_reason(down.status, "AgentJoined")[1]) == (
        False,
        "",
        "Resetting",
    )


@pytest.mark.parametrize("state", [None, bound(epoch=2, participant_sid=""), bound()])
def test_what_takes_longer_than_ten_seconds_is_escalated(state: AgentPodState | None) -> None:
    world = joined_cluster().state(state)
    assert decide(begun(), world, NOW + 9.9).is_decision is False
    found = decide(begun(), world, NOW + 10)
    status = found.status
    assert (found.is_decision, found.actions) == (True, ())
    assert (status.replacements, status.agent_epoch, status.agent_pod) == (1, 3, "")
    assert status.last_reset == LastReset("LastHumanLeft", NOW, None, "Escalated")
    assert [(event.type, event.reason) for event in found.events] == [
        ("Warning", "AgentReplaced"),
        ("Warning", "ResetEscalated"),
    ]
    assert action_kinds(decide(begun().stored(status), world, NOW + 10)) == ["DeletePod"]
    going = world.pods(pod(0, deleting=True))
    assert action_kinds(decide(begun().stored(status), going, NOW + 10)) == ["CreatePod"]


def test_an_escalated_reset_is_complete_with_the_next_pod_and_told_of_once() -> None:
    given_up = decide(begun(), joined_cluster().state(None), NOW + 10).status
    made = decide(begun().stored(given_up), empty_cluster().pods(pod(1)).room(), NOW + 11).status
    assert (made.agent_pod, made.replacements) == (pod(1).name, 1)
    world = empty_cluster().pods(pod(1)).room(agent_participant()).state(bound(epoch=3, job_epoch=3), ordinal=1)
    found = decide(begun().stored(made), world, NOW + 16)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW, NOW + 16, "Escalated")
    (told,) = found.events
    assert (told.type, told.reason) == ("Normal", "ResetComplete")
    assert told.message == "Reset 1 (LastHumanLeft) complete after 16.00 s, in another pod"
    again = decide(begun().stored(found.status), world, NOW + 17)
    assert again.events == ()


def test_without_replacements_left_it_ends_as_lost() -> None:
    start = begun().limits(max_replacements=0)
    found = decide(start, joined_cluster().state(None), NOW + 10)
    assert (found.status.end_reason, found.status.replacements) == ("AgentLost", 0)


def test_a_pod_that_dies_meanwhile_is_replaced_and_that_is_the_reset() -> None:
    made = decide(begun(), empty_cluster().pods(pod(0, phase="Failed"), pod(1)).room(), NOW + 1)
    assert (made.status.replacements, made.status.agent_epoch) == (1, 3)
    assert made.status.last_reset == LastReset("LastHumanLeft", NOW, None, "Replaced")
    world = empty_cluster().pods(pod(1)).room(agent_participant()).state(bound(epoch=3, job_epoch=3), ordinal=1)
    found = decide(begun().stored(made.status), world, NOW + 6)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW, NOW + 6, "Replaced")
    assert reasons(found) == ["ResetComplete"]


def test_a_pod_that_knows_the_epoch_already_is_not_told_again() -> None:
    assert decide(begun(), joined_cluster().state(bound(epoch=2, participant_sid="")), NOW).actions == ()
    assert decide(begun(), fresh(), NOW).status.last_reset == LastReset("LastHumanLeft", NOW, NOW, "Complete")


def without_its_agent(made_at: float) -> tuple[SessionBuilder, ObservedBuilder]:
    """The agent was missed a second after the last human left; the reset came three seconds later."""
    world = joined_cluster().room().pods(pod(created_at=made_at))
    lost = decide(left(NOW), world.state(bound(participant_sid="")), NOW + 1).status
    reset = decide(left().stored(lost), world.state(None), NOW + 4)
    assert (reset.is_decision, condition(reset.status, "AgentJoined").since) == (True, NOW + 1)
    return left().stored(reset.status), world.state(None)


def test_a_pod_that_was_only_starting_gets_the_time_of_a_start() -> None:
    stored, world = without_its_agent(made_at=NOW + 1)
    assert decide(stored, world, NOW + 60).is_decision is False
    assert decide(stored, world, NOW + 61).status.end_reason == "AgentLost"


def test_an_agent_that_was_away_before_the_reset_is_replaced_as_without_one() -> None:
    stored, world = without_its_agent(made_at=T0)
    assert decide(stored, world, NOW + 30.9).is_decision is False
    given_up = decide(stored, world, NOW + 31)
    assert (given_up.is_decision, given_up.status.replacements, given_up.status.end_reason) == (True, 1, "")


def test_teardown_knows_no_resets() -> None:
    found = decide(left().action("Teardown"), joined_cluster(), NOW)
    assert (found.status.end_reason, found.status.resets) == ("LastHumanLeft", 0)


def test_a_session_that_never_had_one_says_nothing_of_it() -> None:
    assert session().build().status.render()["lastReset"] is None
