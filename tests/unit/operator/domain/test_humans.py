"""Classification of participants as humans, and time and reason of the last human's leave."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_common.api.voicesession import LastReset
from voicesession_operator.domain.humans import connecting_humans, is_human, leave_reason, present_humans
from voicesession_operator.domain.observed import LeaveReason, ParticipantKind, Room, RoomUnknown

from tests.support.builders import (
    T0,
    ObservedBuilder,
    SessionBuilder,
    agent_participant,
    bound,
    connecting,
    human,
    joined_cluster,
    ready_session,
)
from tests.support.plan_queries import decide

ROLE = "voicesession.role"
NOW = T0 + 100
LEFT, LOST, UNKNOWN = LeaveReason.LEFT, LeaveReason.CONNECTION_LOST, LeaveReason.UNKNOWN


def visited() -> SessionBuilder:
    return ready_session().status(humans=1, first_human_at=T0 + 20, phase="Active")


def left(reason: LeaveReason, at: float = NOW) -> SessionBuilder:
    return visited().status(humans=0, last_human_left_at=at, last_human_left_reason=str(reason), phase="Grace")


def left_by_agent(at: float, identity: str = "alice", reason: str = "CLIENT_INITIATED") -> ObservedBuilder:
    """Return a cluster whose agent reports the last human's leave."""
    return joined_cluster().state(bound(left_identity=identity, left_reason=reason, left_at=at))


def last_left(start: SessionBuilder, cluster: ObservedBuilder, now: float = NOW) -> tuple[str, float | None]:
    """Return reason and time of the last leave in the plan for `now`; both graces are long."""
    status = decide(start.graces(3000, 3000), cluster, now).status
    return status.last_human_left_reason, status.last_human_left_at


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"kind": ParticipantKind.SIP}, True),
        ({"kind": ParticipantKind.CONNECTOR}, True),
        ({"kind": ParticipantKind.AGENT}, False),
        ({"kind": ParticipantKind.EGRESS}, False),
        ({"kind": ParticipantKind.INGRESS}, False),
        ({"kind": ParticipantKind.BRIDGE}, False),
        ({"kind": ParticipantKind.UNKNOWN}, False),
        ({"hidden": True}, False),
        ({"recorder": True}, False),
        ({"agent": True}, False),
        ({"attributes": {"lk.publish_on_behalf": "agent-66"}}, False),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.INGRESS}, True),
        ({"attributes": {ROLE: "human"}, "hidden": True}, True),
        ({"attributes": {ROLE: "observer"}}, False),
        ({"attributes": {ROLE: "agent"}}, False),
        ({"attributes": {ROLE: ""}}, True),
        ({"attributes": {ROLE: "observer"}, "can_update_metadata": True}, True),
        ({"attributes": {"lk.publish_on_behalf": "agent-66"}, "can_update_metadata": True}, True),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.INGRESS, "can_update_metadata": True}, True),
        ({"attributes": {ROLE: "observer"}, "kind": ParticipantKind.CONNECTOR, "can_update_metadata": True}, False),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.UNKNOWN, "can_update_metadata": True}, False),
        ({"attributes": {ROLE: "observer"}, "kind": ParticipantKind.SIP, "can_update_metadata": True}, False),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.AGENT, "can_update_metadata": True}, True),
    ],
)
def test_is_human_classifies_participant(change: dict[str, Any], expected: bool) -> None:
    assert is_human(replace(human(), **change)) is expected


def test_present_humans_excludes_connecting_participants() -> None:
    connecting = replace(human("bob"), active=False)
    room = Room("RM_1", (human("alice"), connecting, agent_participant(), agent_participant("PA_2", active=False)))
    assert [p.identity for p in present_humans(room)] == ["alice"]
    assert [p.identity for p in connecting_humans(room)] == ["bob"]


@pytest.mark.parametrize(
    ("call_status", "kind", "is_present"),
    [
        ("dialing", ParticipantKind.SIP, False),
        ("ringing", ParticipantKind.SIP, False),
        ("active", ParticipantKind.SIP, True),
        ("automation", ParticipantKind.SIP, True),
        ("", ParticipantKind.SIP, True),
        ("ringing", ParticipantKind.STANDARD, True),
    ],
)
def test_unanswered_sip_call_is_connecting(call_status: str, kind: ParticipantKind, is_present: bool) -> None:
    callee = human(attributes={"sip.callStatus": call_status}, can_update_metadata=True)
    room = Room("RM_1", (replace(callee, kind=kind),))
    assert (len(present_humans(room)), len(connecting_humans(room))) == (int(is_present), int(not is_present))


def test_missing_or_unknown_room_has_no_humans() -> None:
    for room in (None, RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")):
        assert (present_humans(room), connecting_humans(room)) == ((), ())


@pytest.mark.parametrize(
    ("hint", "arrived", "expected", "left_at"),
    [
        (LEFT, NOW - 0.1, "Left", NOW - 0.1),
        (LEFT, NOW - 12, "Left", NOW - 10),
        (LOST, NOW - 4, "ConnectionLost", NOW - 4),
        (UNKNOWN, NOW - 1, "Unknown", NOW),
    ],
)
def test_webhook_of_last_human_gives_reason_and_time_after_last_look(
    hint: LeaveReason, arrived: float, expected: str, left_at: float
) -> None:
    cluster = joined_cluster().seen(human(), at=NOW - 10).leave(hint, arrived)
    assert last_left(visited(), cluster) == (expected, left_at)


@pytest.mark.parametrize("skew", [-5, 0, 5, -86_400])
def test_clock_of_livekit_does_not_change_time_of_leave(skew: float) -> None:
    cluster = joined_cluster().seen(human(), at=NOW - 10).leave(LEFT, NOW - 0.1, reported_at=NOW - 0.1 + skew)
    assert last_left(visited(), cluster) == ("Left", NOW - 0.1)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("skew", [-5, -4, -1, 0, 1, 5])
def test_clock_of_agent_does_not_shorten_grace(skew: float, seen: bool) -> None:
    cluster = left_by_agent(NOW + skew)
    cluster = cluster.seen(human(), at=NOW - 10) if seen else cluster
    assert last_left(visited(), cluster) == ("Left", NOW)


def test_old_report_of_agent_counts_from_latest_possible_time() -> None:
    cluster = left_by_agent(NOW - 20)
    assert last_left(visited(), cluster.seen(human(), at=NOW - 60)) == ("Left", NOW - 15)
    assert last_left(visited(), cluster.seen(human(), at=NOW - 15.5)) == ("Left", NOW - 15)
    assert last_left(visited(), cluster) == ("Unknown", NOW)


@pytest.mark.parametrize("at", [T0 + 10, NOW - 16, NOW + 60, float("nan"), float("inf")])
def test_implausible_report_of_agent_is_ignored(at: float) -> None:
    for cluster in (left_by_agent(at), left_by_agent(at).seen(human(), at=NOW - 10)):
        assert last_left(visited(), cluster) == ("Unknown", NOW)


def test_leave_of_another_human_does_not_explain_empty_room() -> None:
    seen = joined_cluster().seen(human(), at=NOW - 3)
    assert last_left(visited(), seen.leave(LEFT, NOW - 2, "bob")) == ("Unknown", NOW)
    assert last_left(visited(), left_by_agent(NOW - 2, "bob").seen(human(), at=NOW - 3)) == ("Unknown", NOW)
    both = joined_cluster().seen(human(), human("bob"), at=NOW - 5).leave(LEFT, NOW - 4, "bob")
    assert last_left(visited(), both) == ("Unknown", NOW)


@pytest.mark.parametrize("reported_at", [(NOW - 3, NOW - 2), (NOW - 2, NOW - 3)])
def test_latest_leave_by_livekits_clock_decides_reason(reported_at: tuple[float, float]) -> None:
    both = joined_cluster().seen(human(), human("bob"), at=NOW - 5)
    both = both.leave(LEFT, NOW - 1, "bob", reported_at[0]).leave(LOST, NOW - 0.5, "alice", reported_at[1])
    assert last_left(visited(), both)[0] == ("Left" if reported_at[0] > reported_at[1] else "ConnectionLost")


def test_webhook_before_first_look_at_humans_is_ignored() -> None:
    assert last_left(visited(), joined_cluster().leave(LEFT, NOW - 1)) == ("Unknown", NOW)


@pytest.mark.parametrize("cluster", [joined_cluster().room(sid="RM_2"), joined_cluster().no_room()])
def test_lost_room_is_not_explained_by_any_leave(cluster: ObservedBuilder) -> None:
    cluster = cluster.seen(human(), at=NOW - 3).leave(LEFT, NOW - 2)
    report = bound(left_identity="alice", left_reason="CLIENT_INITIATED", left_at=NOW - 2)
    assert last_left(visited(), cluster.state(report)) == ("Unknown", NOW)
    stored = visited().status(humans=0, room_sid="RM_2", last_human_left_at=NOW, last_human_left_reason="Unknown")
    assert last_left(stored, cluster.room(sid="RM_2").state(report), NOW + 1) == ("Unknown", NOW)


def test_room_lost_while_operator_was_away_is_not_explained_by_agent() -> None:
    assert last_left(visited(), left_by_agent(NOW - 1).room(sid="RM_2")) == ("Unknown", NOW)


def test_leave_before_room_was_lost_stays_explained() -> None:
    cluster = joined_cluster().room(sid="RM_2").seen(human(), at=NOW - 3).leave(LEFT, NOW - 2)
    assert last_left(left(LEFT, NOW - 2), cluster) == ("Left", NOW - 2)


def test_look_before_a_reset_does_not_hide_visit_seen_by_agent() -> None:
    reset = LastReset("LastHumanLeft", NOW - 60, NOW - 59, "Complete")
    start = visited().status(humans=0, last_reset=reset).action("Reset")
    for cluster in (left_by_agent(NOW - 1, "carol"), left_by_agent(NOW - 1, "carol").seen(human(), at=NOW - 70)):
        assert last_left(start, cluster) == ("Left", NOW)


def test_leave_hint_is_ignored_while_human_is_listed() -> None:
    room = joined_cluster().room(agent_participant(), human()).seen(human(), at=NOW).leave(LEFT, NOW)
    assert decide(visited(), room, NOW).status == visited().build().status


@pytest.mark.parametrize(
    ("disconnect_reason", "expected"),
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
def test_leave_reason_comes_from_agent(disconnect_reason: str, expected: str) -> None:
    assert last_left(visited(), left_by_agent(NOW, reason=disconnect_reason))[0] == expected
    assert leave_reason(disconnect_reason) == expected


def test_agent_gives_reason_missing_in_webhook() -> None:
    cluster = left_by_agent(NOW).seen(human(), at=NOW - 3).leave(UNKNOWN, NOW)
    assert last_left(visited(), cluster) == ("Left", NOW)


@pytest.mark.parametrize("known", [UNKNOWN, LOST])
def test_late_webhook_corrects_reason_and_shortens_grace(known: LeaveReason) -> None:
    found = decide(left(known), joined_cluster().seen(human(), at=NOW - 3).leave(LEFT, NOW + 0.4), NOW + 0.5)
    assert (found.status.last_human_left_reason, found.status.last_human_left_at) == ("Left", NOW)
    assert found.requeue_after == pytest.approx(2.5)


def test_late_webhook_of_last_human_corrects_deliberate_leave() -> None:
    both = joined_cluster().seen(human(), human("bob"), at=NOW - 3).leave(LEFT, NOW - 1, "bob")
    found = decide(left(LEFT), both.leave(LOST, NOW + 1), NOW + 3)
    assert (found.status.end_reason, found.status.last_human_left_reason) == ("", "ConnectionLost")


def test_reason_without_new_report_is_kept() -> None:
    for cluster in (joined_cluster(), joined_cluster().seen(human(), at=NOW - 3)):
        assert last_left(left(LEFT), cluster, NOW + 1) == ("Left", NOW)


@pytest.mark.parametrize(("reason", "expected"), [(LEFT, "Left"), (LOST, "ConnectionLost")])
def test_later_visit_or_failed_attempt_moves_time_of_leave(reason: LeaveReason, expected: str) -> None:
    cluster = joined_cluster().seen(human(), at=NOW - 3).leave(LEFT, NOW, reported_at=NOW)
    again = cluster.leave(reason, NOW + 2, "alice-again", NOW + 2)
    assert last_left(left(LEFT), again, NOW + 2.1) == (expected, NOW + 2)
    settled = left(LeaveReason(expected), NOW + 2)
    assert last_left(settled, again, NOW + 2.5) == (expected, NOW + 2)


def test_connecting_human_keeps_reason_of_last_leave() -> None:
    room = joined_cluster().room(agent_participant(), connecting("bob")).seen(human(), at=NOW - 3).leave(LEFT, NOW - 1)
    assert last_left(visited(), room) == ("Left", NOW - 1)
