"""What events tell of the people in a room, and of the steps to Ready."""

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


def told(found: Plan) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in found.events]


@pytest.mark.parametrize(
    ("before", "now", "reason"), [(0, 2, "HumanJoined"), (1, 2, "HumanJoined"), (3, 2, "HumanLeft"), (2, 2, "")]
)
def test_each_change_of_how_many_are_there_is_told_without_a_name(before: int, now: int, reason: str) -> None:
    room = joined_cluster().room(agent_participant(), *(human(f"alice-{number}") for number in range(now)))
    expected = [("Normal", reason, f"Humans in the room: {now}")] if reason else []
    assert told(decide(visited(before), room, NOW)) == expected


def test_of_the_last_one_it_is_told_how_she_went_once() -> None:
    world = joined_cluster().leave(LeaveReason.CONNECTION_LOST, NOW)
    found = decide(visited(), world, NOW)
    assert told(found) == [("Normal", "HumanLeft", "Humans in the room: 0; the last one left (ConnectionLost)")]
    assert decide(visited().stored(found.status), world, NOW + 1).events == ()


@pytest.mark.parametrize(("action", "after"), [("Teardown", ["Finished"]), ("Reset", []), ("Recycle", [])])
def test_also_where_no_grace_follows(action: str, after: list[str]) -> None:
    found = decide(visited().action(action).graces(0, 0), joined_cluster().leave(LeaveReason.LEFT, NOW), NOW)
    assert reasons(found) == ["HumanLeft", *after]
    assert found.events[0].message == "Humans in the room: 0; the last one left (Left)"


def test_a_visit_that_only_the_agent_has_seen_is_told_when_it_is_over() -> None:
    world = joined_cluster().state(bound(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW - 1))
    assert reasons(decide(ready_session().action("Reset"), world, NOW)) == ["HumanLeft"]


def test_what_the_status_tells_too_has_its_moment() -> None:
    came = decide(ready_session(), joined_cluster().room(agent_participant(), human()), NOW)
    assert dict(came.events[0].timestamps) == {AT_ANNOTATION: came.status.first_human_at}
    more = joined_cluster().room(agent_participant(), human(), human("bob"))
    assert decide(ready_session().stored(came.status), more, NOW + 1).events[0].timestamps == ()
    left = decide(ready_session().stored(came.status), joined_cluster().leave(LeaveReason.LEFT, NOW + 5), NOW + 9)
    assert (
        dict(left.events[0].timestamps) == {AT_ANNOTATION: NOW + 6} == {AT_ANNOTATION: left.status.last_human_left_at}
    )


def test_who_is_sent_out_by_the_end_has_not_left() -> None:
    room = joined_cluster().room(agent_participant(), human())
    assert reasons(decide(visited().ending(), room, NOW)) == ["Finished"]


def test_a_silent_livekit_tells_of_nobody() -> None:
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
def test_ready_tells_when_the_agent_was_bound_and_joined(timings: Timings, expected: dict[str, float]) -> None:
    starting = session().status(started_at=T0 + 2)
    world = joined_cluster().pods(pod(created_at=T0 + 1)).state(bound(timings=timings))
    found = decide(starting, world, T0 + 5)
    assert reasons(found) == ["Ready"]
    assert dict(found.events[0].timestamps) == {POD_CREATED_AT_ANNOTATION: T0 + 1, **expected}
