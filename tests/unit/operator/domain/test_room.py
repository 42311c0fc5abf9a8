"""Clocks of a session during outages of LiveKit: a failed look pauses them."""

from dataclasses import replace

import pytest
from voicesession_common.api.conditions import find_condition
from voicesession_common.api.voicesession import Outage
from voicesession_operator.domain.actions import CreateRoom, Plan
from voicesession_operator.domain.room import MAX_OUTAGES, TRIAL_SECONDS, UNREADABLE_SECONDS, due_at, observe_room

from tests.support.builders import T0, ObservedBuilder, SessionBuilder, joined_cluster, ready_session
from tests.support.plan_queries import decide

DOWN = joined_cluster().livekit_down()


def looked(session: SessionBuilder, cluster: ObservedBuilder, now: float) -> SessionBuilder:
    """Return the session after a look at `now`."""
    return session.stored(decide(session, cluster, now).status)


@pytest.mark.parametrize("period", [25, 250])
def test_failed_looks_do_not_restart_join_deadline(period: int) -> None:
    """Fail every look of two seconds in each period."""
    session, at = ready_session(T0).limits(max_duration_seconds=1e9), T0
    while not session.build().status.end_reason:
        assert at < T0 + 400
        session = looked(session, joined_cluster() if (at - T0) % period else DOWN, at)
        at += 1
    outages = sum(outage.until - outage.since for outage in session.build().status.outages)
    assert session.build().status.end_reason == "NobodyCame"
    assert at - 1 - T0 == pytest.approx(300 + outages, abs=1)


def test_failed_looks_do_not_restart_reconnect_grace() -> None:
    gone = {"first_human_at": T0 + 9, "last_human_left_at": T0 + 20, "last_human_left_reason": "ConnectionLost"}
    session = ready_session().status(**gone)
    session = looked(looked(session, DOWN, T0 + 45), joined_cluster(), T0 + 47)
    assert decide(session, joined_cluster(), T0 + 51.9).status.end_reason == ""
    assert decide(session, joined_cluster(), T0 + 52).status.end_reason == "LastHumanLeft"


def test_lost_room_pauses_clocks_until_created() -> None:
    refused = joined_cluster().no_room().failed("CreateRoom", "LiveKitRefused", "no")
    session = looked(looked(ready_session(), DOWN, T0 + 10), refused, T0 + 20)
    session = looked(session, joined_cluster(), T0 + 50)
    assert [(outage.since, outage.until) for outage in session.build().status.outages] == [
        (T0 + 10, T0 + 20),
        (T0 + 20, T0 + 50),
    ]
    assert due_at(session.build().status, T0 + 5, 300) == T0 + 345
    assert due_at(session.build().status, T0 + 30, 300) == T0 + 350
    assert due_at(session.build().status, T0 + 60, 300) == T0 + 360


def test_outage_before_ready_is_not_stored() -> None:
    starting = ready_session().status(ready_at=None)
    assert looked(looked(starting, DOWN, T0 + 10), joined_cluster(), T0 + 20).build().status.outages == ()


def test_merged_outages_keep_their_sum() -> None:
    status = ready_session(T0).build().status
    for start in range(10, 1000, 10):
        status = observe_room(status, DOWN.build(), T0 + start)
        status = observe_room(status, joined_cluster().build(), T0 + start + 2)
    assert len(status.outages) == MAX_OUTAGES
    assert due_at(status, T0, 300) == T0 + 300 + 99 * 2
    assert due_at(status, T0 + 985, 300) == T0 + 985 + 300 + 2


def test_outage_ended_by_clock_behind_is_empty() -> None:
    down = observe_room(ready_session().build().status, DOWN.build(), T0 + 10)
    assert observe_room(down, joined_cluster().build(), T0 + 7).outages == (Outage(T0 + 10, T0 + 10),)


def test_join_deadline_waits_for_trial_of_operator() -> None:
    back = T0 + 5000
    session = ready_session().limits(max_duration_seconds=1e9)
    watched = replace(joined_cluster().build(), watched_since=back)
    assert decide(session, watched, back + TRIAL_SECONDS - 1).status.end_reason == ""
    assert decide(session, watched, back + TRIAL_SECONDS).status.end_reason == "NobodyCame"


LOST_AT = T0 + 200
UNREADABLE = joined_cluster().state(None).unreadable_room(LOST_AT)


def room_ready(found: Plan) -> tuple[str, str]:
    condition = find_condition(found.status.conditions, "RoomReady")
    assert condition is not None
    return condition.status, condition.reason


def creates_room(found: Plan) -> bool:
    return any(isinstance(action, CreateRoom) for action in found.actions)


def test_unreadable_room_is_created_again_after_a_minute() -> None:
    before = decide(ready_session(), UNREADABLE, LOST_AT + UNREADABLE_SECONDS - 1)
    assert (room_ready(before), creates_room(before)) == (("Unknown", "LiveKitUnavailable"), False)
    after = decide(ready_session(), UNREADABLE, LOST_AT + UNREADABLE_SECONDS)
    assert (room_ready(after), creates_room(after)) == (("False", "RoomUnreadable"), True)
    assert [event.reason for event in after.events] == ["RoomUnreadable"]


def test_permanently_unreadable_room_ends_the_session() -> None:
    session, at = ready_session().limits(max_duration_seconds=1e9, start_seconds=60), LOST_AT
    session = looked(session, joined_cluster(), at)
    while not session.build().status.end_reason:
        at += 2
        assert at <= LOST_AT + UNREADABLE_SECONDS + 60, "it lasts without end"
        session = looked(session, UNREADABLE, at)
    assert session.build().status.end_reason == "RoomLost"


def test_readable_room_lets_deadlines_run_again() -> None:
    session = looked(ready_session(), joined_cluster(), LOST_AT)
    for seconds in range(2, 72, 2):
        session = looked(session, UNREADABLE, LOST_AT + seconds)
    session = looked(session, joined_cluster(), LOST_AT + 72)
    assert due_at(session.build().status, T0, 300) == T0 + 300 + 70


def test_unreadable_room_with_the_agent_inside_is_kept() -> None:
    found = decide(ready_session(), joined_cluster().unreadable_room(LOST_AT), LOST_AT + 1000)
    assert (room_ready(found), creates_room(found)) == (("Unknown", "LiveKitUnavailable"), False)


def test_livekit_without_any_answer_leads_to_no_creation() -> None:
    found = decide(ready_session(), DOWN.state(None), LOST_AT + 1000)
    assert (room_ready(found), creates_room(found)) == (("Unknown", "LiveKitUnavailable"), False)
