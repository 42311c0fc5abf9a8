"""Resets requested by annotation: one for each value, independent of action and humans."""

import pytest
from voicesession_common.api.voicesession import LastReset
from voicesession_operator.domain.actions import SetPodState

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
REQUEST = "2026-11-24T10:45:05Z"
ACTIONS = ("Teardown", "Reset", "Recycle")
TALKING = joined_cluster().room(agent_participant(), human())


def talking(action: str = "Teardown") -> SessionBuilder:
    """Return a session with a human in the room and a reset request."""
    visited = ready_session().status(humans=1, first_human_at=T0 + 20, phase="Active")
    return visited.action(action).request(REQUEST)


def resetting() -> SessionBuilder:
    return talking().stored(decide(talking(), TALKING, NOW).status)


def fresh(*others: object) -> ObservedBuilder:
    """Return a cluster with the job of epoch 2 in the room."""
    state = bound(epoch=2, job_epoch=2, participant_sid="PA_2")
    return joined_cluster().room(agent_participant("PA_2"), *others).state(state)  # type: ignore[arg-type]


def complete() -> SessionBuilder:
    return resetting().stored(decide(resetting(), fresh(human()), NOW + 0.24).status)


@pytest.mark.parametrize("action", ACTIONS)
def test_request_with_human_starts_reset_immediately(action: str) -> None:
    found = decide(talking(action), TALKING, NOW)
    status = found.status
    assert (found.is_decision, found.actions, found.events) == (True, (), ())
    assert (status.resets, status.recycles, status.agent_epoch, status.next_pod) == (1, 0, 2, "")
    assert status.last_reset == LastReset("Requested", NOW, request=REQUEST)
    assert (status.humans, status.last_human_left_at) == (1, None)
    assert status_and_reason(status, "Ready") == ("False", "Resetting")


@pytest.mark.parametrize("action", ACTIONS)
def test_request_without_visit_starts_reset(action: str) -> None:
    found = decide(ready_session().action(action).request(REQUEST), joined_cluster(), NOW)
    assert (found.is_decision, found.status.resets, found.status.first_human_at) == (True, 1, None)


def test_requested_reset_sends_cause_and_keeps_human() -> None:
    found = decide(resetting(), TALKING, NOW)
    (action,) = found.actions
    assert isinstance(action, SetPodState)
    assert (action.epoch, action.cause) == (2, "Requested")
    done = decide(resetting(), fresh(human()), NOW + 0.24)
    assert (done.status.phase, done.status.humans) == ("Active", 1)
    assert [event.message for event in done.events] == ["Reset 1 (Requested) complete after 0.24 s"]


def test_next_leader_continues_stored_reset() -> None:
    found = decide(resetting(), TALKING, NOW + 1)
    assert (found.is_decision, found.status.resets, action_kinds(found)) == (False, 1, ["SetPodState"])


@pytest.mark.parametrize("seconds", [0.3, 60, 3000])
def test_request_is_handled_once(seconds: float) -> None:
    found = decide(complete(), fresh(human()), NOW + seconds)
    assert (found.is_decision, found.status.resets, found.events) == (False, 1, ())


def test_new_value_starts_new_reset() -> None:
    again = "2026-11-24T10:45:06Z"
    found = decide(complete().request(again), fresh(human()), NOW + 5)
    assert (found.is_decision, found.status.resets, found.status.agent_epoch) == (True, 2, 3)
    assert found.status.last_reset == LastReset("Requested", NOW + 5, request=again)


@pytest.mark.parametrize("written", ["", REQUEST])
def test_reset_for_other_cause_keeps_handled_request(written: str) -> None:
    left = complete().action("Reset").status(humans=0, last_human_left_at=NOW + 9, last_human_left_reason="Left")
    found = decide(left.request(written), fresh(), NOW + 50)
    assert found.status.last_reset == LastReset("LastHumanLeft", NOW + 50, request=REQUEST)
    back = complete().stored(found.status).action("Reset").request(REQUEST)
    state = bound(epoch=3, job_epoch=3, participant_sid="PA_3")
    done = decide(back, fresh().room(agent_participant("PA_3")).state(state), NOW + 51)
    assert (done.is_decision, done.status.resets, reasons(done)) == (False, 2, ["ResetComplete"])


def test_request_during_reset_waits_for_completion() -> None:
    later = resetting().request("2026-11-24T10:45:06Z")
    assert decide(later, TALKING, NOW + 0.1).status.resets == 1
    done = decide(later, fresh(human()), NOW + 0.3)
    assert (done.is_decision, done.status.resets, reasons(done)) == (True, 1, ["ResetComplete"])
    again = decide(later.stored(done.status), fresh(human()), NOW + 0.3)
    assert (again.is_decision, again.status.resets) == (True, 2)


def test_request_at_end_of_grace_causes_single_reset() -> None:
    left = talking("Reset").status(humans=0, last_human_left_at=NOW - 3, last_human_left_reason="Left")
    found = decide(left, joined_cluster(), NOW)
    assert found.status.last_reset == LastReset("Requested", NOW, request=REQUEST)
    done = decide(left.stored(found.status), fresh(), NOW + 30)
    assert (done.is_decision, done.status.resets, done.status.last_human_left_at) == (False, 1, None)


def test_teardown_grace_continues_during_requested_reset() -> None:
    left = talking().status(humans=0, last_human_left_at=NOW - 1, last_human_left_reason="Left")
    found = decide(left, joined_cluster(), NOW)
    assert (found.status.resets, found.status.last_human_left_at) == (1, NOW - 1)
    assert decide(left.stored(found.status), fresh(), NOW + 2).status.end_reason == "LastHumanLeft"


def test_request_before_first_agent_waits() -> None:
    starting = decide(session().request(REQUEST), empty_cluster().room().pods(pod()), T0 + 1)
    assert (starting.is_decision, starting.status.resets) == (False, 0)
    assert status_and_reason(starting.status, "AgentJoined") == ("False", "Starting")
    there = decide(session().request(REQUEST).stored(starting.status), joined_cluster(), T0 + 5)
    assert (there.is_decision, there.status.resets) == (True, 1)
    assert there.status.ready_at == T0 + 5


def test_request_during_livekit_outage_waits() -> None:
    assert decide(talking(), TALKING.livekit_down(), NOW).is_decision is False


def test_end_wins_over_request() -> None:
    assert decide(talking().ending(), TALKING, NOW).status.end_reason == "Requested"
    assert decide(talking().limits(max_duration_seconds=1), TALKING, NOW).status.resets == 0


@pytest.mark.parametrize("text", ["soon", "2026-11-24", "2026-11-24T10:45:05"])
def test_invalid_request_emits_single_event(text: str) -> None:
    asked = talking().request(text)
    found = decide(asked, TALKING, NOW)
    (event,) = found.events
    assert (event.type, event.reason) == ("Warning", "ResetRequestInvalid")
    assert f'voicesession.dev/reset-requested-at: "{text}" is no RFC 3339 time' in event.message
    assert (found.is_decision, found.actions, found.status.resets, found.status.refused_request) == (False, (), 0, text)
    again = decide(asked.stored(found.status), TALKING, NOW + 60)
    assert (again.status, again.events) == (found.status, ())


def test_invalid_request_can_be_corrected_or_removed() -> None:
    refused = talking().stored(decide(talking().request("soon"), TALKING, NOW).status)
    corrected = decide(refused.request(REQUEST), TALKING, NOW + 1)
    assert (corrected.status.resets, corrected.status.refused_request, corrected.events) == (1, "", ())
    gone = decide(refused.request(""), TALKING, NOW + 1)
    assert (gone.is_decision, gone.status.refused_request, gone.events) == (False, "", ())
    other = decide(refused.request("later"), TALKING, NOW + 1)
    assert reasons(other) == ["ResetRequestInvalid"]


@pytest.mark.parametrize(("action", "seconds"), [("Reset", 10), ("Recycle", 10), ("Teardown", 30)])
def test_hanging_requested_reset_is_escalated(action: str, seconds: float) -> None:
    assert reasons(decide(resetting().action(action), TALKING.state(None), NOW + seconds - 0.1)) == []
    found = decide(resetting().action(action), TALKING.state(None), NOW + seconds)
    assert reasons(found) == ["AgentReplaced", "ResetEscalated"]
    assert found.status.last_reset == LastReset("Requested", NOW, None, "Escalated", REQUEST)
    assert condition(found.status, "AgentJoined").reason == "Resetting"
