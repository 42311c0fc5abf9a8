"""Absent agents, health problems reported by the supervisor, and idle humans."""

import pytest
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import (
    T0,
    SessionBuilder,
    agent_participant,
    bound,
    empty_cluster,
    human,
    joined_cluster,
    pod,
    ready_session,
)
from tests.support.plan_queries import action_kinds, condition, decide, reasons, status_and_reason

NOW = T0 + 100
GONE = joined_cluster().room(human())
TALKING = joined_cluster().room(agent_participant(), human())


def talking() -> SessionBuilder:
    return ready_session().status(humans=1, first_human_at=T0 + 20, phase="Active")


def absent() -> SessionBuilder:
    return talking().stored(decide(talking(), GONE, NOW).status)


def reset() -> SessionBuilder:
    return talking().stored(decide(absent(), GONE, NOW + 20).status)


def test_absent_agent_sets_condition_without_event() -> None:
    found = decide(talking(), GONE, NOW)
    assert (status_and_reason(found.status, "Ready"), found.events) == (("False", "AgentAbsent"), ())


def test_absence_of_twenty_seconds_starts_reset() -> None:
    assert decide(absent(), GONE, NOW + 19.9).is_decision is False
    found = decide(absent(), GONE, NOW + 20)
    assert (found.is_decision, found.status.resets) == (True, 1)
    assert found.status.last_reset is not None
    assert found.status.last_reset.cause == "AgentAbsent"
    assert action_kinds(decide(reset(), GONE, NOW + 20)) == ["SetPodState"]


def test_agent_back_in_time_causes_no_reset() -> None:
    found = decide(absent(), TALKING, NOW + 19)
    assert (status_and_reason(found.status, "Ready")[0], found.status.resets) == ("True", 0)


def test_reconnected_agent_keeps_conversation() -> None:
    """LiveKit's client comes back under another SID, and livekit-rtc goes on reporting the first one."""
    back = joined_cluster().room(agent_participant("PA_2"), human()).state(bound(participant_epoch="1"))
    found = decide(absent(), back, NOW + 6)
    assert (status_and_reason(found.status, "Ready")[0], found.status.resets) == ("True", 0)
    later = decide(talking().stored(found.status), back, NOW + 600)
    assert (later.is_decision, later.actions, later.status) == (False, (), found.status)


def test_agent_of_another_epoch_is_absent() -> None:
    state = bound(epoch=2, job_epoch=2, participant_epoch="2")
    found = decide(talking(), TALKING.state(state), NOW)
    assert status_and_reason(found.status, "Ready") == ("False", "AgentAbsent")


def test_agent_of_pod_without_participant_epoch_is_joined() -> None:
    found = decide(talking(), TALKING.state(bound(participant_epoch="")), NOW)
    assert status_and_reason(found.status, "Ready")[0] == "True"


def test_absence_of_thirty_five_seconds_replaces_pod() -> None:
    restarted = GONE.state(bound(epoch=2, job_epoch=2, participant_sid="PA_2"))
    assert decide(reset(), restarted, NOW + 34.9).is_decision is False
    found = decide(reset(), restarted, NOW + 35)
    assert (found.is_decision, found.status.replacements, found.status.end_reason) == (True, 1, "")
    assert reasons(found) == ["AgentReplaced", "ResetEscalated"]


def test_second_absence_soon_after_reset_replaces_pod() -> None:
    back = joined_cluster().room(agent_participant("PA_2"), human())
    state = bound(epoch=2, job_epoch=2, participant_sid="PA_2")
    recovered = decide(reset(), back.state(state), NOW + 21).status
    again = decide(talking().stored(recovered), GONE.state(state), NOW + 35).status
    found = decide(talking().stored(again), GONE.state(state), NOW + 55)
    assert (found.status.resets, found.status.replacements) == (1, 1)
    last = talking().stored(again).limits(max_replacements=0)
    assert decide(last, GONE.state(state), NOW + 55).status.end_reason == "AgentLost"


def test_livekit_outage_is_not_absence() -> None:
    assert decide(absent(), GONE.livekit_down(), NOW + 60).is_decision is False


def test_agent_not_listed_yet_is_starting() -> None:
    start = ready_session().status(conditions=(), ready_at=None, agent_pod=pod(0).name)
    assert status_and_reason(decide(start, GONE, T0 + 9).status, "AgentJoined") == ("False", "Starting")


def test_teardown_grace_continues_during_absence_reset() -> None:
    away = joined_cluster().room().leave(LeaveReason.LEFT, NOW)
    alone = talking().stored(decide(talking().graces(40, 40), away, NOW).status).graces(40, 40)
    found = decide(alone, away, NOW + 20)
    assert (found.status.resets, found.status.last_human_left_at) == (1, NOW)
    ended = decide(alone.stored(found.status), away, NOW + 40)
    assert ended.status.end_reason == "LastHumanLeft"


HEALTH = [
    ("Stuck", "AgentStuck"),
    ("Deaf", "AgentDeaf"),
    ("Mute", "AgentMute"),
    ("ProviderFailing", "ProviderFailing"),
    ("Disconnected", "AgentDisconnected"),
]


@pytest.mark.parametrize(("state", "reason"), HEALTH)
def test_health_problem_emits_single_event_and_recovery_none(state: str, reason: str) -> None:
    unhealthy = TALKING.state(bound(health=state, health_message="the llm fails"))
    found = decide(talking(), unhealthy, NOW)
    assert status_and_reason(found.status, "AgentHealthy") == ("False", reason)
    assert condition(found.status, "AgentHealthy").message == "the llm fails"
    assert [(event.type, event.reason) for event in found.events] == [("Warning", reason)]
    stored = talking().stored(found.status)
    assert decide(stored, unhealthy, NOW + 10).status == found.status
    assert decide(stored, TALKING.state(None), NOW + 10).status == found.status
    other = decide(stored, TALKING.state(bound(health="Deaf" if state != "Deaf" else "Mute")), NOW + 11)
    assert len(other.events) == 1
    recovered = decide(stored, TALKING.state(bound(health="Ok")), NOW + 12)
    assert (status_and_reason(recovered.status, "AgentHealthy"), recovered.events) == (("True", "Healthy"), ())


@pytest.mark.parametrize("state", ["", "Ok", "FromTheFuture"])
def test_session_without_health_problem_has_no_health_condition(state: str) -> None:
    found = decide(talking(), TALKING.state(bound(health=state)), NOW)
    assert "AgentHealthy" not in {c.type for c in found.status.conditions}


@pytest.mark.parametrize(
    ("active_at", "joined_at", "now", "over"),
    [
        (NOW, 0.0, NOW + 59.9, False),
        (NOW, 0.0, NOW + 60, True),
        (NOW - 600, NOW, NOW + 1, False),
        (NOW - 600, NOW, NOW + 60, True),
        (None, 0.0, NOW + 900, False),
    ],
)
def test_idle_seconds_end_session(active_at: float | None, joined_at: float, now: float, over: bool) -> None:
    room = joined_cluster().room(agent_participant(), human(joined_at=joined_at)).state(bound(active_at=active_at))
    found = decide(talking().limits(idle_seconds=60), room, now)
    assert (found.status.end_reason == "Idle") is over
    if over:
        assert [(event.type, event.reason) for event in found.events] == [("Normal", "Finished")]
        assert "Nobody spoke for idleSeconds (60)" in condition(found.status, "Finished").message


def test_idle_needs_humans_and_positive_limit() -> None:
    state = bound(active_at=T0)
    assert decide(talking(), TALKING.state(state), NOW + 900).status.end_reason == ""
    alone = ready_session().limits(idle_seconds=1)
    assert decide(alone, joined_cluster().state(state), NOW).status.end_reason == ""
    assert (
        decide(talking().limits(idle_seconds=1), empty_cluster().pods(pod()).livekit_down(), NOW).is_decision is False
    )
