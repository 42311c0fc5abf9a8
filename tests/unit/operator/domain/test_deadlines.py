"""Ends by the agent, and after humans leave or stay away: both graces, connecting humans, and LiveKit outages."""

from dataclasses import replace

import pytest
from voicesession_common.api.reasons import ResetOutcome
from voicesession_common.api.voicesession import LastReset
from voicesession_operator.domain.observed import AgentPodState, LeaveReason, Observed, Participant, ParticipantKind

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
from tests.support.plan_queries import condition, decide

NOW = T0 + 100


def visited() -> SessionBuilder:
    return ready_session().status(humans=1, first_human_at=T0 + 20, phase="Active")


def left(reason: str, at: float = NOW) -> SessionBuilder:
    return visited().status(humans=0, last_human_left_at=at, last_human_left_reason=reason, phase="Grace")


def test_first_human_sets_time_and_phase() -> None:
    found = decide(ready_session(), joined_cluster().room(agent_participant(), human()), NOW)
    assert (found.status.humans, found.status.first_human_at, found.status.phase) == (1, NOW, "Active")


def test_second_human_keeps_first_time() -> None:
    room = joined_cluster().room(agent_participant(), human(), human("bob"))
    found = decide(visited(), room, NOW)
    assert (found.status.humans, found.status.first_human_at) == (2, T0 + 20)


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
def test_leave_reason_selects_grace(reason: str, seconds: float, over: bool) -> None:
    found = decide(left(reason), joined_cluster(), NOW + seconds)
    assert (found.status.end_reason == "LastHumanLeft") is over
    if not over:
        grace = 3 if reason == "Left" else 30
        assert found.requeue_after == pytest.approx(min(10, max(grace - seconds, 0.05)))


@pytest.mark.parametrize("action", ["Teardown", "Reset", "Recycle"])
@pytest.mark.parametrize(("reason", "grace"), [("Left", 3), ("ConnectionLost", 30)])
@pytest.mark.parametrize("earlier", [-5, 0, 5])
def test_grace_of_an_earlier_leader_is_granted_in_full(action: str, reason: str, grace: int, earlier: int) -> None:
    """Let the clock of the earlier leader, which stored the leave, be `earlier` seconds ahead."""
    session = left(reason, NOW + earlier).action(action)
    first_look = NOW + 1
    room = replace(joined_cluster().build(), watched_since=first_look)
    ends_at = max(first_look, NOW + earlier) + grace
    assert not _is_grace_over(session, room, ends_at - 0.1)
    assert _is_grace_over(session, room, ends_at)


def test_long_grace_of_an_earlier_leader_is_granted_again_for_a_minute() -> None:
    session = left("ConnectionLost", NOW - 595).graces(3, 600)
    room = replace(joined_cluster().build(), watched_since=NOW)
    assert not _is_grace_over(session, room, NOW + 59.9)
    assert _is_grace_over(session, room, NOW + 60)


def _is_grace_over(session: SessionBuilder, observed: Observed, now: float) -> bool:
    found = decide(session, observed, now)
    return found.status.end_reason == "LastHumanLeft" or found.status.resets > 0


def test_end_message_has_leave_reason_and_duration() -> None:
    found = decide(left("Left"), joined_cluster(), NOW + 3)
    assert condition(found.status, "Finished").message == (
        "The last human left (Left) and nobody came back within 3 s. Humans in the room: 0; it lasted 98 s"
    )
    assert [(event.type, event.reason) for event in found.events] == [("Normal", "Finished")]


def test_return_clears_grace() -> None:
    found = decide(left("Left"), joined_cluster().room(agent_participant(), human()), NOW + 10)
    assert (found.status.last_human_left_at, found.status.last_human_left_reason) == (None, "")
    assert (found.status.humans, found.status.phase) == (1, "Active")


@pytest.mark.parametrize(
    "arriving",
    [connecting(), human(kind=ParticipantKind.SIP, attributes={"sip.callStatus": "ringing"})],
    ids=["joining", "ringing"],
)
@pytest.mark.parametrize("start", [left("Left"), left("ConnectionLost"), ready_session()])
def test_connecting_human_delays_end(start: SessionBuilder, arriving: Participant) -> None:
    room = joined_cluster().room(agent_participant(), arriving)
    held = decide(start, room, T0 + 1000)
    assert (held.status.end_reason, held.status.humans) == ("", 0)
    assert held.status.last_human_left_at == start.build().status.last_human_left_at
    assert decide(start, joined_cluster(), T0 + 1000).status.end_reason in ("LastHumanLeft", "NobodyCame")


def test_connecting_recorder_delays_no_end() -> None:
    room = joined_cluster().room(agent_participant(), connecting("bob", kind=ParticipantKind.EGRESS))
    assert decide(left("Left"), room, NOW + 3).status.end_reason == "LastHumanLeft"


def test_connecting_human_does_not_delay_requested_end_or_max_duration() -> None:
    room: ObservedBuilder = joined_cluster().room(agent_participant(), connecting())
    assert decide(left("Left").ending(), room, NOW + 3).status.end_reason == "Requested"
    assert decide(left("Left").limits(max_duration_seconds=60), room, NOW + 3).status.end_reason == "MaxDuration"


def test_connecting_human_restarts_idle_time() -> None:
    start = visited().limits(idle_seconds=60)
    quiet = joined_cluster().state(bound(active_at=NOW - 60))
    alice, bob = human(joined_at=T0 + 20), connecting("bob", joined_at=NOW - 1)
    assert decide(start, quiet.room(agent_participant(), alice), NOW).status.end_reason == "Idle"
    assert decide(start, quiet.room(agent_participant(), alice, bob), NOW).status.end_reason == ""


def test_zero_grace_ends_session_immediately() -> None:
    found = decide(visited().graces(0, 0), joined_cluster(), NOW)
    assert found.status.end_reason == "LastHumanLeft"


@pytest.mark.parametrize("start", [visited(), left("Left"), ready_session()])
def test_livekit_outage_ends_no_session(start: SessionBuilder) -> None:
    found = decide(start, joined_cluster().livekit_down(), T0 + 3000)
    assert found.status.end_reason == ""
    assert found.status.humans == start.build().status.humans
    assert found.actions == ()


def test_join_deadline_without_human_ends_session() -> None:
    assert decide(ready_session(), joined_cluster(), T0 + 304.9).status.end_reason == ""
    assert decide(ready_session(), joined_cluster(), T0 + 305).status.end_reason == "NobodyCame"
    assert decide(visited().graces(900, 900), joined_cluster(), T0 + 305).status.end_reason == ""


@pytest.mark.parametrize(("reason", "seconds"), [(LeaveReason.LEFT, 3), (LeaveReason.CONNECTION_LOST, 30)])
def test_failed_attempt_to_connect_delays_join_deadline_by_grace(reason: LeaveReason, seconds: float) -> None:
    tried = joined_cluster().leave(reason, T0 + 304)
    assert decide(ready_session(), tried, T0 + 303.9 + seconds).status.end_reason == ""
    assert decide(ready_session(), tried, T0 + 304 + seconds).status.end_reason == "NobodyCame"
    early = joined_cluster().leave(reason, T0 + 200)
    assert decide(ready_session(), early, T0 + 305).status.end_reason == "NobodyCame"


@pytest.mark.parametrize(
    ("expected_at", "ends_at"),
    [
        (NOW - 1, NOW + 3),
        (NOW + 0.5, NOW + 15.5),
        (NOW + 2.9, NOW + 17.9),
        (NOW + 3600, NOW + 18),
    ],
    ids=["before the leave", "early", "late", "wrong clock"],
)
@pytest.mark.parametrize("action", ["Teardown", "Reset"])
def test_token_issued_since_last_leave_delays_end_of_grace(expected_at: float, ends_at: float, action: str) -> None:
    start = left("Left").action(action).expecting_human(expected_at)
    waiting, over = (decide(start, joined_cluster(), ends_at + seconds) for seconds in (-0.1, 0))
    assert (waiting.status.end_reason, waiting.status.resets) == ("", 0)
    assert (over.status.end_reason, over.status.resets) == (("LastHumanLeft", 0) if action == "Teardown" else ("", 1))


def test_token_issued_before_join_deadline_delays_deadline() -> None:
    start = ready_session().expecting_human(T0 + 300)
    assert decide(start, joined_cluster(), T0 + 314.9).status.end_reason == ""
    assert decide(start, joined_cluster(), T0 + 315).status.end_reason == "NobodyCame"
    assert (
        decide(ready_session().expecting_human(T0 + 10), joined_cluster(), T0 + 305).status.end_reason == "NobodyCame"
    )


@pytest.mark.parametrize("action", ["Teardown", "Reset", "Recycle"])
def test_agent_ended_ends_session_for_every_action(action: str) -> None:
    cluster = joined_cluster().room(agent_participant(), human()).state(bound(state="Ended", ended_epoch=1))
    found = decide(visited().action(action), cluster, NOW)
    assert (found.status.end_reason, found.status.phase) == ("AgentEnded", "Finished")
    assert [event.type for event in found.events if event.reason == "Finished"] == ["Normal"]


@pytest.mark.parametrize(
    "state",
    [
        bound(ended_epoch=0),
        bound(ended_epoch=1, session_uid="another session"),
        bound(ended_epoch=1, epoch=2),
    ],
    ids=["not ended", "another session", "an earlier conversation"],
)
def test_agent_ended_needs_current_conversation(state: AgentPodState) -> None:
    found = decide(visited(), joined_cluster().room(agent_participant(), human()).state(state), NOW)
    assert found.status.end_reason == ""


def test_agent_ended_during_reset_does_not_end_session() -> None:
    last = LastReset("LastHumanLeft", NOW, ResetOutcome.RUNNING)
    resetting = visited().action("Reset").status(resets=1, agent_epoch=2, last_reset=last)
    cluster = joined_cluster().room(agent_participant(), human()).state(bound(ended_epoch=1))
    assert decide(resetting, cluster, NOW).status.end_reason == ""
