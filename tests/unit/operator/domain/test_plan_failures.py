"""Failures: one condition and one event for each problem, stable messages, recovery and replacement."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.actions import CreatePod, DeletePod
from voicesession_operator.domain.observed import AgentPodState

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

CANNOT_START = 'CreateContainerConfigError: secret "keys" not found'


@pytest.mark.parametrize(
    ("cluster", "kind", "expected", "message"),
    [
        (
            empty_cluster().no_agent().room(),
            "AgentJoined",
            ("False", "AgentNotFound"),
            'VoiceAgent "agent-66" not found in namespace "default"',
        ),
        (
            empty_cluster().livekit_down().pods(pod()),
            "RoomReady",
            ("Unknown", "LiveKitUnavailable"),
            "LiveKit does not answer",
        ),
        (
            empty_cluster().room().pods(pod(phase="Pending", ip="", problem=CANNOT_START)),
            "AgentJoined",
            ("False", "PodNotRunning"),
            CANNOT_START,
        ),
        (
            empty_cluster().room().pods(pod()).state(AgentPodState("Preparing", problem="no module named mine")),
            "AgentJoined",
            ("False", "AgentInvalid"),
            "no module named mine",
        ),
        (
            empty_cluster().room().pods(pod()).state(bound(participant_sid="", problem="cannot join the room")),
            "AgentJoined",
            ("False", "AgentError"),
            "cannot join the room",
        ),
        (
            empty_cluster().room().pods(pod()).state(bound(participant_sid="", job_restarts=1)),
            "AgentJoined",
            ("False", "JobDied"),
            "The agent's job died; its pod starts another one",
        ),
        (
            empty_cluster().no_room().pods(pod()).failed("CreateRoom", "LiveKitRefused", "no"),
            "RoomReady",
            ("False", "LiveKitRefused"),
            "no",
        ),
        (
            empty_cluster().room().failed("CreatePod", "Forbidden", "exceeded quota", terminal=True),
            "AgentJoined",
            ("False", "Forbidden"),
            "exceeded quota",
        ),
        (
            empty_cluster().room().pods(pod()).state(AgentPodState("Unbound")).failed("SetPodState", "Refused", "no"),
            "AgentJoined",
            ("False", "Refused"),
            "no",
        ),
        (
            joined_cluster().state(bound(memory_problem="Letta does not answer")),
            "MemoryReady",
            ("False", "MemoryUnavailable"),
            "Letta does not answer",
        ),
    ],
)
def test_problem_sets_condition_and_emits_single_event(
    cluster: ObservedBuilder, kind: str, expected: tuple[str, str], message: str
) -> None:
    first = decide(session(), cluster, T0)
    assert (status_and_reason(first.status, kind), condition(first.status, kind).message) == (expected, message)
    assert expected[1] in reasons(first)
    again = decide(session().stored(first.status), cluster, T0 + 5)
    assert again.status == first.status
    assert again.events == ()


@pytest.mark.parametrize("health", ["Stuck", "ProviderFailing"])
def test_job_restarted_for_health_is_not_reported_as_died(health: str) -> None:
    cluster = joined_cluster().room().state(bound(participant_sid="", job_restarts=1, health=health))
    found = decide(ready_session(), cluster, T0 + 50)
    assert status_and_reason(found.status, "AgentJoined") == ("False", "Starting")
    assert "JobDied" not in reasons(found)


def test_failed_action_is_not_repeated_in_same_pass() -> None:
    cluster = empty_cluster().no_room().failed("CreatePod", "Conflict", "x")
    found = decide(session(), cluster, T0)
    assert (action_kinds(found), found.requeue_after) == (["CreateRoom"], 2.0)
    unretryable = decide(session(), empty_cluster().room().failed("CreatePod", "Invalid", "x", terminal=True), T0)
    assert (action_kinds(unretryable), unretryable.requeue_after) == ([], 10.0)


def test_alternating_image_errors_are_same_problem() -> None:
    def cluster(problem: str) -> ObservedBuilder:
        return empty_cluster().room().pods(pod(phase="Pending", ip="", problem=problem))

    first = decide(session(), cluster("ErrImagePull: not found"), T0)
    stored = session().stored(first.status)
    assert decide(stored, cluster("ImagePullBackOff: back-off"), T0 + 5).status == first.status
    assert decide(stored, cluster(""), T0 + 6).status == first.status
    other = decide(stored, cluster(CANNOT_START), T0 + 7)
    assert condition(other.status, "AgentJoined").message == CANNOT_START


def test_session_starts_after_late_voice_agent() -> None:
    waiting = decide(session(), empty_cluster().no_agent().room(), T0).status
    assert waiting.phase == "Pending"
    assert action_kinds(decide(session().stored(waiting), empty_cluster().room(), T0 + 9)) == ["CreatePod"]


def test_memory_problem_keeps_ready_true() -> None:
    failing = decide(ready_session(), joined_cluster().state(bound(memory_problem="down")), T0 + 50)
    assert status_and_reason(failing.status, "Ready")[0] == "True"
    recovered = decide(ready_session().stored(failing.status), joined_cluster(), T0 + 60)
    assert status_and_reason(recovered.status, "MemoryReady") == ("True", "MemoryAvailable")
    assert recovered.events == ()


def test_livekit_outage_during_call_sets_conditions_unknown() -> None:
    talking = ready_session().status(humans=1, first_human_at=T0 + 9)
    down = decide(talking, joined_cluster().livekit_down(), T0 + 50)
    assert {c.type: c.status for c in down.status.conditions} == dict.fromkeys(
        ("RoomReady", "AgentJoined", "Ready"), "Unknown"
    )
    assert (reasons(down), down.status.humans, down.actions) == (["LiveKitUnavailable"], 1, ())
    room = joined_cluster().room(agent_participant(), human()).state(None)
    up = decide(talking.stored(down.status), room, T0 + 90)
    assert status_and_reason(up.status, "Ready")[0] == "True"
    assert up.events == ()


def test_lost_room_is_created_again() -> None:
    talking = ready_session().status(humans=1, first_human_at=T0 + 9)
    assert action_kinds(decide(talking, joined_cluster().no_room(), T0 + 50)) == ["CreateRoom"]
    found = decide(talking, joined_cluster().room(sid="RM_2"), T0 + 50)
    assert (found.status.room_sid, reasons(found)) == ("RM_2", ["RoomRecreated"])
    assert (found.status.humans, found.status.last_human_left_reason) == (0, "Unknown")


def refused(since: float) -> SessionBuilder:
    """Return a session with a lost room that LiveKit refuses to create again."""
    talking = ready_session().status(humans=1, first_human_at=T0 + 9)
    return talking.stored(decide(talking, REFUSING, since).status)


REFUSING = joined_cluster().no_room().failed("CreateRoom", "LiveKitRefused", "LiveKit answers resource_exhausted: no")


def test_room_refused_for_start_seconds_ends_session() -> None:
    lost = T0 + 50
    assert status_and_reason(refused(lost).build().status, "RoomReady") == ("False", "LiveKitRefused")
    assert decide(refused(lost), REFUSING, lost + 59.9).status.end_reason == ""
    found = decide(refused(lost), REFUSING, lost + 60)
    assert found.status.end_reason == "RoomLost"
    assert "LiveKit answers resource_exhausted: no" in condition(found.status, "Finished").message
    assert [(event.type, event.reason) for event in found.events] == [("Warning", "Finished")]


def test_room_is_created_once_more_before_end() -> None:
    found = decide(refused(T0 + 50), joined_cluster().no_room(), T0 + 900)
    assert (found.status.end_reason, action_kinds(found)) == ("", ["CreateRoom"])
    assert decide(refused(T0 + 50), joined_cluster(), T0 + 900).status.end_reason == ""


def test_livekit_outage_is_not_room_loss() -> None:
    away = joined_cluster().livekit_down().failed("CreateRoom", "LiveKitUnavailable", "LiveKit does not answer")
    assert decide(refused(T0 + 50), away, T0 + 900).status.end_reason == ""


def test_room_refused_before_ready_ends_with_start_deadline() -> None:
    cluster = empty_cluster().no_room().pods(pod()).failed("CreateRoom", "LiveKitRefused", "LiveKit answers no")
    stored = session().stored(decide(session(), cluster, T0 + 1).status)
    assert decide(stored, cluster, T0 + 61).status.end_reason == "StartDeadline"


LOST = [
    empty_cluster().pods(pod(phase="Failed")).room(),
    empty_cluster().pods(pod(phase="Succeeded")).room(),
    empty_cluster().pods(pod(deleting=True)).room(),
    empty_cluster().room(),
]


@pytest.mark.parametrize("cluster", LOST)
def test_lost_pod_is_replaced_immediately(cluster: ObservedBuilder) -> None:
    found = decide(ready_session(), cluster, T0 + 50)
    made = found.actions[0]
    assert isinstance(made, CreatePod)
    assert made.manifest["metadata"]["name"] == pod(1).name
    assert found.status.agent_pod == pod(0).name


def test_ended_pod_is_deleted() -> None:
    found = decide(ready_session(), LOST[0], T0 + 50)
    assert found.actions[1:] == (DeletePod(pod(0).name, "pod-uid-0"),)


def test_replacement_is_counted_and_emits_event() -> None:
    found = decide(ready_session(), empty_cluster().pods(pod(0, deleting=True), pod(1)).room(), T0 + 50)
    status = found.status
    assert (status.replacements, status.agent_pod, status.agent_epoch) == (1, pod(1).name, 2)
    assert status_and_reason(status, "Ready")[0] == "False"
    assert reasons(found) == ["AgentReplaced"]


def crashing(ordinal: int, since: float) -> SessionBuilder:
    lost = decide(ready_session(), empty_cluster().room(), since).status
    status = replace(lost, replacements=ordinal, agent_pod=pod(ordinal).name, pod_ordinal=ordinal)
    return session().stored(status).limits(start_seconds=600, max_replacements=10)


@pytest.mark.parametrize(("ordinal", "wait"), [(0, 0), (1, 2), (2, 4), (3, 8), (9, 64)])
def test_repeated_pod_losses_back_off(ordinal: int, wait: float) -> None:
    since = T0 + 50
    dead = empty_cluster().room()
    due = decide(crashing(ordinal, since), dead, since + wait)
    assert action_kinds(due) == ["CreatePod"]
    if wait:
        early = decide(crashing(ordinal, since), dead, since + wait - 0.5)
        assert action_kinds(early) == []
        assert early.requeue_after == pytest.approx(0.5)
        assert status_and_reason(early.status, "AgentJoined") == ("False", "PodLost")


def test_steady_pod_is_replaced_without_backoff() -> None:
    old = ready_session().status(replacements=2, agent_pod=pod(2).name, pod_ordinal=2)
    assert action_kinds(decide(old, empty_cluster().room(), T0 + 50)) == ["CreatePod"]


@pytest.mark.parametrize(("allowed", "used", "over"), [(3, 2, False), (3, 3, True), (0, 0, True)])
def test_used_up_replacements_end_session(allowed: int, used: int, over: bool) -> None:
    start = ready_session().status(replacements=used, agent_pod=pod(used).name, pod_ordinal=used)
    found = decide(start.limits(max_replacements=allowed), empty_cluster().room(), T0 + 50)
    assert (found.status.end_reason == "AgentLost") is over


AWAY = joined_cluster().room().state(bound(participant_sid=""))


def away(max_replacements: int) -> SessionBuilder:
    """Return a session whose agent left the room at T0 + 50."""
    lost = decide(ready_session(), AWAY, T0 + 50).status
    return ready_session().stored(lost).limits(max_replacements=max_replacements)


def test_agent_away_without_replacements_ends_session_after_start_seconds() -> None:
    assert decide(away(0), AWAY, T0 + 109).status.end_reason == ""
    assert decide(away(0), AWAY, T0 + 110).status.end_reason == "AgentLost"


def test_livekit_outage_extends_time_to_rejoin() -> None:
    down = decide(away(0), AWAY.livekit_down(), T0 + 60)
    assert down.status.end_reason == ""
    up = decide(away(0).stored(down.status), AWAY, T0 + 290)
    assert (up.status.end_reason, condition(up.status, "RoomReady").since) == ("", T0 + 290)
    assert decide(away(0).stored(up.status), AWAY, T0 + 339).status.end_reason == ""
    assert decide(away(0).stored(up.status), AWAY, T0 + 340).status.end_reason == "AgentLost"


def test_refused_pod_ends_session_after_start_seconds() -> None:
    refused = empty_cluster().room().failed("CreatePod", "QuotaExceeded", "no quota")
    lost = ready_session().stored(decide(ready_session(), refused, T0 + 50).status)
    assert decide(lost, refused, T0 + 109).status.end_reason == ""
    found = decide(lost, refused, T0 + 110)
    assert (found.status.end_reason, found.status.replacements) == ("AgentLost", 0)
    assert "no quota" in condition(found.status, "Finished").message


def test_newer_of_two_live_pods_is_kept() -> None:
    found = decide(ready_session(), joined_cluster().pods(pod(0), pod(1)).state(None), T0 + 50)
    assert found.actions == (DeletePod(pod(0).name, "pod-uid-0"),)
    assert found.status.agent_pod == pod(1).name
