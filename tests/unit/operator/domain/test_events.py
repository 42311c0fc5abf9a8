"""Events about humans in the room and about the steps to Ready."""

import pytest
from voicesession_common.api.constants import (
    AT_ANNOTATION,
    BOUND_AT_ANNOTATION,
    JOINED_AT_ANNOTATION,
    POD_CREATED_AT_ANNOTATION,
)
from voicesession_operator.domain.actions import Plan
from voicesession_operator.domain.observed import LeaveReason, Timings

from tests.support.builders import (
    T0,
    SessionBuilder,
    agent_participant,
    bound,
    human,
    joined_cluster,
    pod,
    ready_session,
    session,
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


def test_last_leave_emits_single_event_with_reason() -> None:
    cluster = joined_cluster().seen(human()).leave(LeaveReason.CONNECTION_LOST, NOW)
    found = decide(visited(), cluster, NOW)
    assert messages(found) == [("Normal", "HumanLeft", "Humans in the room: 0; the last one left (ConnectionLost)")]
    assert decide(visited().stored(found.status), cluster, NOW + 1).events == ()


@pytest.mark.parametrize(("action", "after"), [("Teardown", ["Finished"]), ("Reset", []), ("Recycle", [])])
def test_last_leave_emits_event_without_grace(action: str, after: list[str]) -> None:
    cluster = joined_cluster().seen(human()).leave(LeaveReason.LEFT, NOW)
    found = decide(visited().action(action).graces(0, 0), cluster, NOW)
    assert reasons(found) == ["HumanLeft", *after]
    assert found.events[0].message == "Humans in the room: 0; the last one left (Left)"


def test_visit_seen_only_by_agent_emits_leave_event() -> None:
    cluster = joined_cluster().state(bound(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW - 1))
    assert reasons(decide(ready_session().action("Reset"), cluster, NOW)) == ["HumanLeft"]


def test_human_events_have_times_of_status() -> None:
    came = decide(ready_session(), joined_cluster().room(agent_participant(), human()), NOW)
    assert dict(came.events[0].timestamps) == {AT_ANNOTATION: came.status.first_human_at}
    more = joined_cluster().room(agent_participant(), human(), human("bob"))
    assert decide(ready_session().stored(came.status), more, NOW + 1).events[0].timestamps == ()
    cluster = joined_cluster().seen(human(), at=NOW + 1).leave(LeaveReason.LEFT, NOW + 5)
    left = decide(ready_session().stored(came.status), cluster, NOW + 9)
    assert dict(left.events[0].timestamps) == {AT_ANNOTATION: NOW + 5}
    assert left.status.last_human_left_at == NOW + 5


def test_end_of_session_emits_no_leave_event() -> None:
    room = joined_cluster().room(agent_participant(), human())
    assert reasons(decide(visited().ending(), room, NOW)) == ["Finished"]


def test_livekit_outage_emits_no_leave_event() -> None:
    assert "HumanLeft" not in reasons(decide(visited(), joined_cluster().livekit_down(), NOW))


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        (Timings(T0 + 1, T0 + 4, T0 + 3, T0 + 4.5), {BOUND_AT_ANNOTATION: T0 + 3, JOINED_AT_ANNOTATION: T0 + 4.5}),
        (Timings(bound=T0 - 60, joined=T0 + 60), {BOUND_AT_ANNOTATION: T0 + 2, JOINED_AT_ANNOTATION: T0 + 5}),
        (Timings(bound=float("nan"), joined=float("inf")), {BOUND_AT_ANNOTATION: T0 + 2, JOINED_AT_ANNOTATION: T0 + 5}),
        (Timings(joined=T0 + 4), {JOINED_AT_ANNOTATION: T0 + 4}),
        (Timings(), {}),
    ],
)
def test_ready_event_has_times_of_pod_and_agent(timings: Timings, expected: dict[str, float]) -> None:
    starting = session().status(started_at=T0 + 2)
    cluster = joined_cluster().pods(pod(created_at=T0 + 1)).state(bound(timings=timings))
    found = decide(starting, cluster, T0 + 5)
    assert reasons(found) == ["Ready"]
    assert dict(found.events[0].timestamps) == {POD_CREATED_AT_ANNOTATION: T0 + 1, **expected}
