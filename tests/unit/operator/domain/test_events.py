"""Events about humans in the room, and the steps that the status keeps instead."""

import pytest
from voicesession_common.api.constants import AT_ANNOTATION
from voicesession_operator.domain.actions import Plan
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import (
    T0,
    SessionBuilder,
    agent_participant,
    bound,
    human,
    joined_cluster,
    ready_session,
)
from tests.support.plan_queries import decide, reasons

NOW = T0 + 100


def visited(humans: int = 1) -> SessionBuilder:
    return ready_session().status(humans=humans, first_human_at=T0 + 20)


def messages(found: Plan) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in found.events]


@pytest.mark.parametrize(
    ("before", "now", "reason"), [(0, 2, "HumanJoined"), (1, 2, "HumanJoined"), (3, 2, "HumanLeft"), (2, 2, "")]
)
def test_change_of_human_count_emits_event_without_names(before: int, now: int, reason: str) -> None:
    room = joined_cluster().room(agent_participant(), *(human(f"alice-{number}") for number in range(now)))
    expected = [("Normal", reason, f"Humans in the room: {now}")] if reason else []
    assert messages(decide(visited(before), room, NOW)) == expected


@pytest.mark.parametrize("action", ["Reset", "Recycle"])
def test_last_leave_emits_single_event_with_reason(action: str) -> None:
    cluster = joined_cluster().seen(human()).leave(LeaveReason.CONNECTION_LOST, NOW)
    found = decide(visited().action(action), cluster, NOW)
    assert messages(found) == [("Normal", "HumanLeft", "Humans in the room: 0; the last one left (ConnectionLost)")]
    assert decide(visited().action(action).stored(found.status), cluster, NOW + 1).events == ()


@pytest.mark.parametrize("action", ["Reset", "Recycle"])
def test_last_leave_emits_event_without_grace(action: str) -> None:
    cluster = joined_cluster().seen(human()).leave(LeaveReason.LEFT, NOW)
    found = decide(visited().action(action).graces(0, 0), cluster, NOW)
    assert reasons(found) == ["HumanLeft"]
    assert found.events[0].message == "Humans in the room: 0; the last one left (Left)"


def test_last_leave_before_teardown_has_no_own_event() -> None:
    cluster = joined_cluster().seen(human()).leave(LeaveReason.LEFT, NOW)
    (finished,) = decide(visited().graces(0, 0), cluster, NOW).events
    assert finished.reason == "Finished"
    assert "The last human left (Left)" in finished.message


def test_first_human_has_no_event_but_time_in_status() -> None:
    found = decide(ready_session(), joined_cluster().room(agent_participant(), human()), NOW)
    assert (found.events, found.status.first_human_at) == ((), NOW)


def test_return_emits_event_with_time_and_reason_of_leave() -> None:
    left = visited(0).status(last_human_left_at=T0 + 50, last_human_left_reason="ConnectionLost")
    found = decide(left, joined_cluster().room(agent_participant(), human()), NOW)
    leave = "the last one had left at 2025-11-22T23:20:50.000Z (ConnectionLost)"
    assert messages(found) == [("Normal", "HumanJoined", f"Humans in the room: 1; {leave}")]


def test_visit_seen_only_by_agent_emits_leave_event() -> None:
    cluster = joined_cluster().state(bound(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW - 1))
    assert reasons(decide(ready_session().action("Reset"), cluster, NOW)) == ["HumanLeft"]


def test_leave_event_has_time_of_status() -> None:
    cluster = joined_cluster().seen(human(), at=NOW + 1).leave(LeaveReason.LEFT, NOW + 5)
    left = decide(visited().action("Reset"), cluster, NOW + 6)
    assert dict(left.events[0].timestamps) == {AT_ANNOTATION: NOW + 5}
    assert left.status.last_human_left_at == NOW + 5


def test_end_of_session_emits_no_leave_event() -> None:
    room = joined_cluster().room(agent_participant(), human())
    assert reasons(decide(visited().ending(), room, NOW)) == ["Finished"]


def test_livekit_outage_emits_no_leave_event() -> None:
    assert "HumanLeft" not in reasons(decide(visited(), joined_cluster().livekit_down(), NOW))
