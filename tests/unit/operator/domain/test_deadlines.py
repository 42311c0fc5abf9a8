"""Humans come and go: both graces, where the reason comes from, and what is never concluded."""

import pytest
from voicesession_operator.domain.humans import leave_reason
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import T0, SessionBuilder, agent_participant, bound, human, joined_cluster, ready_session
from tests.support.plan_queries import condition, decide, reasons

NOW = T0 + 100


def visited() -> SessionBuilder:
    return ready_session().status(humans=1, first_human_at=T0 + 20, phase="Active")


def left(reason: str, at: float = NOW) -> SessionBuilder:
    return visited().status(humans=0, last_human_left_at=at, last_human_left_reason=reason, phase="Grace")


def test_first_human() -> None:
    found = decide(ready_session(), joined_cluster().room(agent_participant(), human()), NOW)
    assert (found.status.humans, found.status.first_human_at, found.status.phase) == (1, NOW, "Active")
    assert reasons(found) == ["HumanJoined"]


def test_second_visit_keeps_the_first_time() -> None:
    room = joined_cluster().room(agent_participant(), human(), human("bob"))
    found = decide(visited(), room, NOW)
    assert (found.status.humans, found.status.first_human_at) == (2, T0 + 20)


@pytest.mark.parametrize(
    ("hint", "at", "expected", "left_at"),
    [
        (LeaveReason.LEFT, NOW - 0.1, "Left", NOW),
        (LeaveReason.LEFT, NOW - 4, "Left", NOW - 3),
        (LeaveReason.LEFT, NOW + 2, "Left", NOW),
        (LeaveReason.CONNECTION_LOST, NOW - 4, "ConnectionLost", NOW - 3),
        (LeaveReason.UNKNOWN, NOW - 1, "Unknown", NOW),
        (LeaveReason.LEFT, NOW - 16, "Unknown", NOW),
        (LeaveReason.LEFT, T0 + 10, "Unknown", NOW),
        (LeaveReason.LEFT, NOW + 60, "Unknown", NOW),
        (LeaveReason.LEFT, float("nan"), "Unknown", NOW),
    ],
)
def test_a_hint_counts_only_while_it_fits(hint: LeaveReason, at: float, expected: str, left_at: float) -> None:
    status = decide(visited().graces(60, 60), joined_cluster().leave(hint, at), NOW).status
    assert (status.humans, status.last_human_left_reason, status.last_human_left_at) == (0, expected, left_at)
    assert status.phase == "Grace"


def test_a_hint_means_nothing_while_livekit_sees_her() -> None:
    room = joined_cluster().room(agent_participant(), human()).leave(LeaveReason.LEFT, NOW)
    assert decide(visited(), room, NOW).status == visited().build().status


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("CLIENT_INITIATED", "Left"),
        ("USER_REJECTED", "Left"),
        ("PARTICIPANT_REMOVED", "Left"),
        ("CONNECTION_TIMEOUT", "ConnectionLost"),
        ("DUPLICATE_IDENTITY", "ConnectionLost"),
        ("UNKNOWN_REASON", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_the_agent_can_tell_it_too(told: str, expected: str) -> None:
    world = joined_cluster().state(bound(left_identity="alice", left_reason=told, left_at=NOW))
    assert decide(visited(), world, NOW).status.last_human_left_reason == expected
    assert leave_reason(told) == expected


def test_the_later_of_two_hints_wins() -> None:
    state = bound(left_identity="bob", left_reason="CONNECTION_TIMEOUT", left_at=NOW - 1)
    found = decide(visited(), joined_cluster().leave(LeaveReason.LEFT, NOW - 5).state(state), NOW)
    assert found.status.last_human_left_reason == "ConnectionLost"


def test_unknown_is_upgraded_when_the_hint_arrives() -> None:
    found = decide(left("Unknown"), joined_cluster().leave(LeaveReason.LEFT, NOW - 2), NOW + 0.5)
    assert (found.status.last_human_left_reason, found.status.last_human_left_at) == ("Left", NOW - 1)
    assert found.requeue_after == pytest.approx(1.5)


def test_what_is_known_is_not_overwritten() -> None:
    found = decide(left("Left"), joined_cluster().leave(LeaveReason.CONNECTION_LOST, NOW), NOW + 1)
    assert found.status == left("Left").build().status


@pytest.mark.parametrize(
    ("reason", "seconds", "over"),
    [
        ("Left", 2.9, False),
        ("Left", 3, True),
        ("ConnectionLost", 29.9, False),
        ("ConnectionLost", 30, True),
        ("Unknown", 29.9, False),
        ("Unknown", 30, True),
    ],
)
def test_each_way_to_leave_has_its_grace(reason: str, seconds: float, over: bool) -> None:
    found = decide(left(reason), joined_cluster(), NOW + seconds)
    assert (found.status.end_reason == "LastHumanLeft") is over
    if not over:
        grace = 3 if reason == "Left" else 30
        assert found.requeue_after == pytest.approx(min(10, max(grace - seconds, 0.05)))


def test_the_end_says_how_it_came() -> None:
    found = decide(left("Left"), joined_cluster(), NOW + 3)
    assert condition(found.status, "Finished").message == (
        "The last human left (Left) and nobody came back within 3 s. Humans in the room: 0; it lasted 98 s"
    )
    assert [(event.type, event.reason) for event in found.events] == [("Normal", "Finished")]


def test_coming_back_clears_the_grace() -> None:
    found = decide(left("Left"), joined_cluster().room(agent_participant(), human()), NOW + 10)
    assert (found.status.last_human_left_at, found.status.last_human_left_reason) == (None, "")
    assert (found.status.humans, found.status.phase) == (1, "Active")


def test_no_grace_at_all() -> None:
    found = decide(visited().graces(0, 0), joined_cluster(), NOW)
    assert found.status.end_reason == "LastHumanLeft"


@pytest.mark.parametrize("start", [visited(), left("Left"), ready_session()])
def test_a_silent_livekit_ends_nothing(start: SessionBuilder) -> None:
    found = decide(start, joined_cluster().livekit_down(), T0 + 3000)
    assert found.status.end_reason == ""
    assert found.status.humans == start.build().status.humans
    assert found.actions == ()


def test_nobody_came() -> None:
    assert decide(ready_session(), joined_cluster(), T0 + 304.9).status.end_reason == ""
    assert decide(ready_session(), joined_cluster(), T0 + 305).status.end_reason == "NobodyCame"
    assert decide(visited().graces(900, 900), joined_cluster(), T0 + 305).status.end_reason == ""
