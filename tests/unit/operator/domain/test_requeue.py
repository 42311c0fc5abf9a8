"""Poll intervals while a human joins or leaves, and the signs after which the participants are listed again."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.observed import (
    AgentPodState,
    ListedRoom,
    Participant,
    ParticipantKind,
    Room,
)
from voicesession_operator.domain.requeue import (
    ARRIVING_SECONDS,
    CACHED_SECONDS,
    LEAVING_SECONDS,
    POLL_TRANSITION_SECONDS,
    POLL_UNANSWERED_CALL_SECONDS,
    RoomLook,
    RoomReport,
    is_look_due,
    room_reports,
)

from tests.support.builders import (
    CONFIG,
    T0,
    agent_participant,
    bound,
    connecting,
    human,
    joined_cluster,
    ready_session,
)
from tests.support.plan_queries import decide

NOW = T0 + 100
POLL = CONFIG.poll_seconds


@pytest.mark.parametrize(
    ("ago", "identity", "interval"),
    [
        (0.02, "alice", POLL_TRANSITION_SECONDS),
        (-0.5, "alice", POLL_TRANSITION_SECONDS),
        (LEAVING_SECONDS, "alice", POLL),
        (0.02, "bob", POLL),
    ],
)
def test_leave_seen_by_agent_shortens_poll_interval(ago: float, identity: str, interval: float) -> None:
    state = bound(left_identity=identity, left_reason="CLIENT_INITIATED", left_at=NOW - ago)
    cluster = joined_cluster().room(agent_participant(), human("alice")).state(state)
    assert decide(ready_session(), cluster, NOW).requeue_after == interval


@pytest.mark.parametrize(("ago", "interval"), [(0.5, POLL_TRANSITION_SECONDS), (ARRIVING_SECONDS, POLL)])
def test_connecting_human_shortens_poll_interval(ago: float, interval: float) -> None:
    connecting = replace(human("alice", joined_at=NOW - ago), active=False)
    found = decide(ready_session(), joined_cluster().room(agent_participant(), connecting), NOW)
    assert (found.status.humans, found.requeue_after) == (0, interval)


@pytest.mark.parametrize(("status", "interval"), [("ringing", POLL_UNANSWERED_CALL_SECONDS), ("active", POLL)])
def test_unanswered_sip_call_shortens_poll_interval(status: str, interval: float) -> None:
    callee = human(kind=ParticipantKind.SIP, attributes={"sip.callStatus": status}, joined_at=NOW - 20)
    assert decide(ready_session(), joined_cluster().room(agent_participant(), callee), NOW).requeue_after == interval


def test_connecting_agent_keeps_poll_interval() -> None:
    other = replace(agent_participant("PA_other", active=False), joined_at=NOW)
    assert decide(ready_session(), joined_cluster().room(agent_participant(), other), NOW).requeue_after == POLL


INSIDE = bound(humans=("alice",))
LISTED = ListedRoom("RM_1", 1)


def reports(state: AgentPodState) -> frozenset[RoomReport]:
    return room_reports({"pod-uid-0": state})


def look(*participants: Participant) -> RoomLook:
    return RoomLook(Room("RM_1", participants or (agent_participant(), human())), NOW - 5, 3, reports(INSIDE))


def is_due(
    listed: ListedRoom = LISTED,
    *,
    found: RoomLook | None = None,
    listed_at: float = NOW - 1,
    events: int = 3,
    state: AgentPodState = INSIDE,
    now: float = NOW,
) -> bool:
    return is_look_due(found or look(), listed, listed_at, events, reports(state), now)


def test_look_without_a_sign_of_change_is_not_due() -> None:
    assert not is_due()
    assert not is_due(state=replace(INSIDE, active_at=NOW, health="Ok"))
    assert not is_due(found=look(agent_participant(), human(), human("egress", kind=ParticipantKind.EGRESS)))
    assert is_look_due(None, LISTED, NOW - 1, 3, reports(INSIDE), NOW)


def test_changed_list_of_rooms_makes_a_look_due() -> None:
    assert is_due(ListedRoom("RM_2", 1))
    assert is_due(ListedRoom("RM_1", 0))
    assert not is_due(ListedRoom("RM_1", 0), listed_at=NOW - 6), "the look is newer"


def test_webhook_and_report_of_a_pod_make_a_look_due() -> None:
    assert is_due(events=4)
    assert is_due(state=replace(INSIDE, humans=()))
    assert is_due(state=replace(INSIDE, participant_sid=""))
    assert is_due(state=replace(INSIDE, left_identity="bob", left_at=NOW - 50))


def test_agreeing_reports_after_a_first_look_make_no_look_due() -> None:
    first = replace(look(), reports=frozenset())
    state = replace(INSIDE, participant_sid=agent_participant().sid)
    assert not is_due(found=first, state=state)
    assert not is_due(found=first, state=replace(state, left_identity="alice", left_at=NOW - 11))
    assert is_due(found=first, state=replace(state, left_identity="alice", left_at=NOW - 9)), "alice may be back"
    assert is_due(found=first, state=replace(state, humans=()))
    assert is_due(found=first, state=replace(state, participant_sid="PA_another"))
    assert is_due(found=look(), state=replace(state, active_at=NOW, job_epoch=9)), "this look knew the report"


def test_old_look_is_due() -> None:
    assert not is_due(now=NOW - 5 + CACHED_SECONDS[1] - 0.1)
    assert is_due(now=NOW - 5 + CACHED_SECONDS[1])
    assert is_due(now=NOW - 5 - CACHED_SECONDS[1]), "the clock was set back"


@pytest.mark.parametrize(
    "participant",
    [
        connecting(),
        human(kind=ParticipantKind.SIP, attributes={"sip.callStatus": "ringing"}),
    ],
)
def test_look_with_connecting_human_is_due_again(participant: Participant) -> None:
    assert is_due(found=look(agent_participant(), participant))


def test_look_behind_the_agents_report_is_due_again() -> None:
    assert is_due(found=look(human())), "its job is in the room"
    assert is_due(found=look(human(), agent_participant(epoch=1)), state=replace(INSIDE, participant_epoch="2"))
    left = replace(INSIDE, left_identity="alice", left_at=NOW - 0.1)
    seen = replace(look(), reports=reports(left))
    assert is_due(found=seen, state=left)
    assert not is_due(found=seen, state=left, now=NOW + LEAVING_SECONDS), "alice has come back"
