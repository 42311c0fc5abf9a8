"""The course of a reset: stored first, then sent to the pod, complete when the new agent joins, else escalated."""

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
    connecting,
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
    """Return a session at the end of the 3 s of grace after the last leave."""
    visited = ready_session().status(first_human_at=T0 + 20, last_human_left_at=at, last_human_left_reason=reason)
    return visited.action("Reset").status(phase="Grace")


def resetting(at: float = NOW) -> SessionBuilder:
    return left(at - 3).stored(decide(left(at - 3), joined_cluster(), at).status)


def fresh(sid: str = "PA_2", **values: object) -> ObservedBuilder:
    """Return a cluster with the job of epoch 2 in the room."""
    state = bound(epoch=2, job_epoch=2, participant_sid=sid, **values)
    return joined_cluster().room(agent_participant(sid)).state(state)


def complete(at: float = NOW + 0.24) -> SessionBuilder:
    return resetting().stored(decide(resetting(), fresh(), at).status)


def test_reset_is_stored_before_actions() -> None:
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
def test_reset_waits_for_grace(start: SessionBuilder, seconds: float, due: bool) -> None:
    assert decide(start, joined_cluster(), NOW + seconds).is_decision is due


def test_pod_gets_epoch_and_cause_of_reset() -> None:
    found = decide(resetting(), joined_cluster(), NOW)
    (action,) = found.actions
    assert isinstance(action, SetPodState)
    assert (action.epoch, action.cause, found.requeue_after) == (2, "LastHumanLeft", 0.05)
    assert found.status == resetting().build().status


@pytest.mark.parametrize(
    "cluster",
    [
        joined_cluster().state(bound(epoch=2, job_epoch=1, participant_sid="")),
        joined_cluster().state(bound(epoch=2, job_epoch=2, participant_sid="")),
        joined_cluster().room().state(bound(epoch=2, job_epoch=2, participant_sid="")),
        joined_cluster().room(agent_participant("PA_2", active=False)).state(bound(epoch=2, job_epoch=2)),
        joined_cluster().state(bound(epoch=2, job_epoch=1)),
    ],
)
def test_old_agent_is_not_ready_during_reset(cluster: ObservedBuilder) -> None:
    found = decide(resetting(), cluster, NOW + 0.1)
    assert (found.status, found.actions, found.events) == (resetting().build().status, (), ())
    assert found.requeue_after == 0.05


def test_slow_reset_is_polled_less_often() -> None:
    slow = joined_cluster().state(bound(epoch=2, participant_sid=""))
    assert decide(resetting(), slow, NOW + 2).requeue_after == 0.25


def test_reset_completes_when_new_agent_joins() -> None:
    found = decide(resetting(), fresh(), NOW + 0.24)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW, NOW + 0.24, "Complete")
    assert (status_and_reason(found.status, "Ready")[0], found.status.phase) == ("True", "Ready")
    (event,) = found.events
    message = "Reset 1 (LastHumanLeft) complete after 0.24 s"
    assert (event.type, event.reason, event.message) == ("Normal", "ResetComplete", message)


@pytest.mark.parametrize("seconds", [1, 60, 3000])
def test_completed_reset_waits_without_human(seconds: float) -> None:
    found = decide(
        complete(), fresh(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW - 3), NOW + seconds
    )
    assert (found.status, found.actions, found.is_decision) == (complete().build().status, (), False)


def test_max_duration_ends_session_after_reset() -> None:
    assert decide(complete(), fresh(), T0 + 5 + 3600).status.end_reason == "MaxDuration"


def test_join_deadline_does_not_apply_after_visit() -> None:
    assert decide(complete().limits(join_seconds=1), fresh(), NOW + 900).status.end_reason == ""


def test_return_before_reset_cancels_reset() -> None:
    found = decide(left(), joined_cluster().room(agent_participant(), human()), NOW)
    assert (found.is_decision, found.status.resets, found.status.last_human_left_at) == (False, 0, None)


@pytest.mark.parametrize("action", ["Reset", "Recycle"])
def test_connecting_human_holds_reset_back(action: str) -> None:
    arriving = joined_cluster().room(agent_participant(), connecting())
    held = decide(left().action(action), arriving, NOW + 20)
    assert (held.is_decision, held.status.resets, held.status.phase) == (False, 0, "Grace")
    assert decide(left().action(action), joined_cluster(), NOW + 20).is_decision


def test_connecting_human_does_not_hold_requested_reset_back() -> None:
    arriving = joined_cluster().room(agent_participant(), connecting())
    assert decide(left().request("2026-01-31T12:00:00Z"), arriving, NOW).is_decision


def test_return_during_reset_gets_new_agent() -> None:
    there = joined_cluster().room(agent_participant(), human())
    assert action_kinds(decide(resetting(), there, NOW + 0.02)) == ["SetPodState"]
    stored = resetting().stored(decide(resetting(), there, NOW + 0.02).status)
    found = decide(stored, fresh().room(agent_participant("PA_2"), human()), NOW + 0.3)
    assert (found.status.phase, found.status.humans, reasons(found)) == ("Active", 1, ["ResetComplete"])


def test_visit_during_reset_causes_next_reset() -> None:
    there = decide(resetting(), joined_cluster().room(agent_participant(), human()), NOW + 0.02)
    waiting = decide(resetting().stored(there.status).graces(0, 0), joined_cluster(), NOW + 0.1)
    assert (waiting.is_decision, waiting.status.resets, waiting.status.phase) == (False, 1, "Grace")
    done = decide(resetting().stored(waiting.status).graces(0, 0), fresh(), NOW + 0.3)
    assert (done.is_decision, done.status.resets, reasons(done)) == (True, 1, ["ResetComplete"])
    again = decide(resetting().stored(done.status).graces(0, 0), fresh(), NOW + 0.3)
    assert (again.is_decision, again.status.resets) == (True, 2)


def test_every_visit_causes_single_reset() -> None:
    there = decide(complete(), fresh().room(agent_participant("PA_2"), human()), NOW + 50)
    gone = decide(complete().stored(there.status), fresh(), NOW + 60)
    assert gone.status.phase == "Grace"
    second = decide(complete().stored(gone.status), fresh(), NOW + 90)
    assert (second.is_decision, second.status.resets, second.status.agent_epoch) == (True, 2, 3)


def test_visit_seen_only_by_agent_causes_reset() -> None:
    cluster = fresh(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW + 20)
    found = decide(complete(), cluster, NOW + 22)
    assert (found.status.last_human_left_reason, found.status.last_human_left_at) == ("Left", NOW + 22)
    unseen = ready_session().action("Reset")
    first = joined_cluster().state(bound(left_identity="alice", left_at=T0 + 50))
    assert decide(unseen, first, T0 + 52).status.first_human_at == T0 + 50
    assert decide(ready_session(), first, T0 + 52).status.first_human_at is None


@pytest.mark.parametrize("cluster", [joined_cluster(), joined_cluster().state(None), empty_cluster().room()])
def test_end_and_deletion_win_over_reset(cluster: ObservedBuilder) -> None:
    for start in (left(), resetting()):
        assert decide(start.ending(), cluster, NOW).status.end_reason == "Requested"
        assert decide(start.limits(max_duration_seconds=1), cluster, NOW).status.end_reason == "MaxDuration"
        assert set(action_kinds(decide(start.deleting(), cluster, NOW))) <= {"DeleteRoom", "DeletePod"}


def test_livekit_outage_causes_no_reset() -> None:
    assert decide(left(), joined_cluster().livekit_down(), NOW + 500).is_decision is False
    down = decide(resetting(), joined_cluster().livekit_down(), NOW + 500)
    assert (down.is_decision, down.status.end_reason, status_and_reason(down.status, "AgentJoined")[1]) == (
        False,
        "",
        "Resetting",
    )


@pytest.mark.parametrize("state", [None, bound(epoch=2, participant_sid=""), bound()])
def test_reset_longer_than_ten_seconds_is_escalated(state: AgentPodState | None) -> None:
    cluster = joined_cluster().state(state)
    assert decide(resetting(), cluster, NOW + 9.9).is_decision is False
    found = decide(resetting(), cluster, NOW + 10)
    status = found.status
    assert (found.is_decision, found.actions) == (True, ())
    assert (status.replacements, status.agent_epoch, status.agent_pod) == (1, 3, "")
    assert status.last_reset == LastReset("LastHumanLeft", NOW, None, "Escalated")
    assert [(event.type, event.reason) for event in found.events] == [
        ("Warning", "AgentReplaced"),
        ("Warning", "ResetEscalated"),
    ]
    assert action_kinds(decide(resetting().stored(status), cluster, NOW + 10)) == ["DeletePod"]
    going = cluster.pods(pod(0, deleting=True))
    assert action_kinds(decide(resetting().stored(status), going, NOW + 10)) == ["CreatePod"]


def test_escalated_reset_completes_once_with_next_pod() -> None:
    escalated = decide(resetting(), joined_cluster().state(None), NOW + 10).status
    made = decide(resetting().stored(escalated), empty_cluster().pods(pod(1)).room(), NOW + 11).status
    assert (made.agent_pod, made.replacements) == (pod(1).name, 1)
    cluster = empty_cluster().pods(pod(1)).room(agent_participant()).state(bound(epoch=3, job_epoch=3), ordinal=1)
    found = decide(resetting().stored(made), cluster, NOW + 16)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW, NOW + 16, "Escalated")
    (event,) = found.events
    assert (event.type, event.reason) == ("Normal", "ResetComplete")
    assert event.message == "Reset 1 (LastHumanLeft) complete after 16.00 s, in another pod"
    again = decide(resetting().stored(found.status), cluster, NOW + 17)
    assert again.events == ()


def test_failed_reset_without_replacements_ends_session() -> None:
    start = resetting().limits(max_replacements=0)
    found = decide(start, joined_cluster().state(None), NOW + 10)
    assert (found.status.end_reason, found.status.replacements) == ("AgentLost", 0)


def test_pod_lost_during_reset_is_replaced() -> None:
    made = decide(resetting(), empty_cluster().pods(pod(0, phase="Failed"), pod(1)).room(), NOW + 1)
    assert (made.status.replacements, made.status.agent_epoch) == (1, 3)
    assert made.status.last_reset == LastReset("LastHumanLeft", NOW, None, "Replaced")
    cluster = empty_cluster().pods(pod(1)).room(agent_participant()).state(bound(epoch=3, job_epoch=3), ordinal=1)
    found = decide(resetting().stored(made.status), cluster, NOW + 6)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW, NOW + 6, "Replaced")
    assert reasons(found) == ["ResetComplete"]


def test_pod_with_new_epoch_gets_no_second_state() -> None:
    assert decide(resetting(), joined_cluster().state(bound(epoch=2, participant_sid="")), NOW).actions == ()
    assert decide(resetting(), fresh(), NOW).status.last_reset == LastReset("LastHumanLeft", NOW, NOW, "Complete")


AWAY = joined_cluster().room().state(bound(participant_sid=""))
STARTING = empty_cluster().pods(pod(1)).room()


def lost_before_reset(cluster: ObservedBuilder) -> SessionBuilder:
    """Return a session whose agent was lost a second after the last human; the reset started three seconds later."""
    lost = decide(left(NOW), cluster, NOW + 1).status
    reset = decide(left().stored(lost), cluster, NOW + 4)
    assert (reset.is_decision, condition(reset.status, "AgentJoined").since) == (True, NOW + 1)
    return left().stored(reset.status)


def test_starting_pod_has_start_seconds_during_reset() -> None:
    stored = lost_before_reset(STARTING)
    assert decide(stored, STARTING, NOW + 60).is_decision is False
    escalated = decide(stored, STARTING, NOW + 61)
    assert (escalated.is_decision, escalated.status.replacements, escalated.status.end_reason) == (True, 2, "")
    last = stored.limits(max_replacements=1)
    assert decide(last, STARTING, NOW + 61).status.end_reason == "AgentLost"


def test_agent_away_before_reset_is_replaced_after_away_limit() -> None:
    stored, cluster = lost_before_reset(AWAY), AWAY.state(None)
    assert decide(stored, cluster, NOW + 30.9).is_decision is False
    escalated = decide(stored, cluster, NOW + 31)
    assert (escalated.is_decision, escalated.status.replacements, escalated.status.end_reason) == (True, 1, "")


def test_teardown_causes_no_reset() -> None:
    found = decide(left().action("Teardown"), joined_cluster(), NOW)
    assert (found.status.end_reason, found.status.resets) == ("LastHumanLeft", 0)


def test_status_without_reset_has_null_last_reset() -> None:
    assert session().build().status.render()["lastReset"] is None
