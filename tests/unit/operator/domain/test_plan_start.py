"""The start of a session, from an empty cluster to Ready, and the start deadline."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.actions import CreatePod, CreateRoom, SetPodState
from voicesession_operator.domain.naming import room_metadata
from voicesession_operator.domain.observed import AgentPodState

from tests.support.builders import (
    CONFIG,
    IDENTITY,
    ROOM,
    T0,
    UID,
    ObservedBuilder,
    agent,
    agent_participant,
    bound,
    empty_cluster,
    joined_cluster,
    pod,
    ready_session,
    session,
)
from tests.support.plan_queries import action_kinds, condition, decide, reasons, status_and_reason


def test_new_session_creates_room_and_pod() -> None:
    found = decide(session(), empty_cluster().no_room(), T0)
    room, made = found.actions
    assert isinstance(room, CreateRoom)
    assert room.name == ROOM
    assert isinstance(made, CreatePod)
    assert made.manifest["metadata"]["name"] == pod().name
    assert (found.status.phase, found.status.started_at, found.events) == ("Pending", T0, ())


def test_first_status_is_complete_except_ready() -> None:
    found = decide(session(), empty_cluster().room().pods(pod(phase="Pending", ip="")), T0)
    status = found.status
    assert found.actions == ()
    assert (status.room_name, status.room_sid, status.room_url) == (ROOM, "RM_1", CONFIG.public_url)
    assert (status.agent_pod, status.agent_identity, status.agent_epoch) == (pod().name, IDENTITY, 1)
    assert (status.observed_generation, status.phase) == (1, "Starting")
    assert status_and_reason(status, "RoomReady") == ("True", "RoomCreated")
    assert status_and_reason(status, "AgentJoined") == status_and_reason(status, "Ready") == ("False", "Starting")


STARTING_UP: list[ObservedBuilder] = [
    empty_cluster().room().pods(pod(phase="Pending", ip="")),
    empty_cluster().room().pods(pod()),
    empty_cluster().room().pods(pod()).state(AgentPodState("Preparing")),
    empty_cluster().room().pods(pod()).state(bound(participant_sid="")),
    empty_cluster().room(agent_participant()).pods(pod()).state(bound(participant_sid="")),
    empty_cluster().room(agent_participant(active=False)).pods(pod()).state(bound()),
]


@pytest.mark.parametrize("cluster", STARTING_UP)
def test_start_causes_no_status_writes(cluster: ObservedBuilder) -> None:
    first = decide(session(), STARTING_UP[0], T0).status
    later = decide(session().stored(first), cluster, T0 + 3)
    assert later.status == first
    assert later.events == ()


@pytest.mark.parametrize(
    ("state", "is_sent"),
    [
        (None, False),
        (AgentPodState("Preparing"), True),
        (AgentPodState("Unbound"), True),
        (bound(session_uid="another"), True),
        (bound(epoch=0), True),
        (bound(epoch=2), False),
        (bound(), False),
    ],
)
def test_state_is_sent_to_pod_with_different_state(state: AgentPodState | None, is_sent: bool) -> None:
    found = decide(session(), empty_cluster().room().pods(pod()).state(state), T0 + 1)
    assert action_kinds(found) == (["SetPodState"] if is_sent else [])


def test_desired_state_has_all_fields() -> None:
    definition = replace(agent(memory={"letta": {"scope": "Agent"}}), letta_agent_id="agent-letta")
    cluster = empty_cluster().agent(definition).room().pods(pod()).state(AgentPodState("Unbound"))
    (action,) = decide(session(), cluster, T0 + 1).actions
    assert action == SetPodState(
        "10.0.0.1",
        "pod-uid-0",
        UID,
        1,
        ROOM,
        IDENTITY,
        "Agent_66",
        "agent-letta",
        60 + 3600 + 3600,
        prewarm=False,
        room_sid="RM_1",
        room_metadata=room_metadata(session().build(), CONFIG.installation_id),
    )


@pytest.mark.parametrize(("action", "prewarm"), [("Teardown", False), ("Reset", True), ("Recycle", True)])
def test_next_job_is_prewarmed_only_for_resets(action: str, prewarm: bool) -> None:
    cluster = empty_cluster().room().pods(pod()).state(AgentPodState("Unbound"))
    (sent,) = decide(session().action(action), cluster, T0 + 1).actions
    assert isinstance(sent, SetPodState)
    assert sent.prewarm is prewarm


def test_agent_metadata_reaches_only_the_pods_desired_state() -> None:
    secretive = session().agent_metadata("customer 7")
    start, bind = decide(secretive, empty_cluster(), T0), decide(secretive, waiting_cluster(), T0 + 1)
    (action,) = bind.actions
    assert isinstance(action, SetPodState)
    assert action.agent_metadata == "customer 7"
    assert action_kinds(start) == ["CreateRoom", "CreatePod"]
    everything_else = (*start.actions, start.status, bind.status, action.room_metadata, action)
    assert "customer 7" not in repr(everything_else)


def waiting_cluster() -> ObservedBuilder:
    """Return a cluster with a pod that waits for its session."""
    return empty_cluster().room().pods(pod()).state(AgentPodState("Unbound"))


def test_raised_max_duration_sends_longer_token() -> None:
    short = joined_cluster().state(bound(token_expires_at=T0 + 60 + 3600 + 3600))
    assert action_kinds(decide(ready_session(), short, T0 + 50)) == []
    raised = ready_session().limits(max_duration_seconds=86400)
    (action,) = decide(raised, short, T0 + 50).actions
    assert isinstance(action, SetPodState)
    assert (action.epoch, action.ttl_seconds) == (1, 60 + 86400 + 3600)
    again = joined_cluster().state(bound(token_expires_at=T0 + 50 + action.ttl_seconds))
    assert action_kinds(decide(raised, again, T0 + 50)) == []


def test_memory_resolved_later_is_sent_later() -> None:
    definition = replace(agent(memory={"letta": {"scope": "Agent"}}), letta_agent_id="agent-letta")
    assert action_kinds(decide(ready_session(), joined_cluster().agent(definition), T0 + 9)) == ["SetPodState"]
    knows = joined_cluster().agent(definition).state(bound(memory_agent_id="agent-letta"))
    assert action_kinds(decide(ready_session(), knows, T0 + 9)) == []


@pytest.mark.parametrize("cluster", [empty_cluster().pods(pod(ip="")), empty_cluster().livekit_down().pods(pod())])
def test_no_state_is_sent_without_address_or_room(cluster: ObservedBuilder) -> None:
    unbound = cluster.state(AgentPodState("Unbound"))
    assert "SetPodState" not in action_kinds(decide(session(), unbound, T0 + 1))


def test_ready_requires_agent_in_room() -> None:
    stored = decide(session(), empty_cluster().room().pods(pod()), T0).status
    found = decide(session().stored(stored), joined_cluster(), T0 + 5)
    assert status_and_reason(found.status, "Ready") == ("True", "Ready")
    assert (found.status.ready_at, found.status.phase) == (T0 + 5, "Ready")
    assert found.actions == ()


@pytest.mark.parametrize(
    "cluster",
    [
        joined_cluster().state(bound(participant_epoch="2")),
        joined_cluster().state(None),
        joined_cluster().room(agent_participant(active=False)),
        joined_cluster().pods(pod(deleting=True)),
    ],
)
def test_participant_with_agent_identity_is_not_enough_for_ready(cluster: ObservedBuilder) -> None:
    stored = decide(session(), empty_cluster().room().pods(pod()), T0).status
    assert status_and_reason(decide(session().stored(stored), cluster, T0 + 5).status, "Ready")[0] == "False"


def test_slow_pod_keeps_ready() -> None:
    found = decide(ready_session(), joined_cluster().state(None), T0 + 60)
    assert found.status == ready_session().build().status


def test_restarted_job_is_not_counted_as_replacement() -> None:
    starting = joined_cluster().room().state(bound(participant_sid="", job_restarts=1))
    gone = decide(ready_session(), starting, T0 + 60)
    assert status_and_reason(gone.status, "Ready") == ("False", "JobDied")
    assert [(event.type, event.reason) for event in gone.events] == [("Warning", "JobDied")]
    back = joined_cluster().room(agent_participant("PA_2")).state(bound(participant_sid="PA_2", job_restarts=1))
    found = decide(ready_session().stored(gone.status), back, T0 + 61)
    assert status_and_reason(found.status, "Ready")[0] == "True"
    assert (found.status.replacements, found.status.ready_at, reasons(found)) == (0, T0 + 5, [])


@pytest.mark.parametrize(
    ("cluster", "now", "expected"),
    [
        (empty_cluster().room().pods(pod()), T0 + 1, 2.0),
        (empty_cluster().room().pods(pod()).state(bound(participant_sid="")), T0 + 1, 1.0),
        (empty_cluster().room(agent_participant()).pods(pod()).state(bound(participant_sid="")), T0 + 1, 0.1),
        (empty_cluster().room().pods(pod(ip="")), T0 + 1, 10.0),
        (empty_cluster().livekit_down().pods(pod(ip="")), T0 + 1, 2.0),
        (empty_cluster().room().pods(pod(ip="")), T0 + 55, 5.0),
    ],
)
def test_requeue_interval_during_start(cluster: ObservedBuilder, now: float, expected: float) -> None:
    stored = decide(session(), empty_cluster().room().pods(pod()), T0).status
    assert decide(session().stored(stored), cluster, now).requeue_after == pytest.approx(expected)


def test_silent_pod_is_polled_every_2_seconds_after_loss() -> None:
    stored = decide(ready_session(), joined_cluster().room().state(None), T0 + 100).status
    patient = session().stored(stored).limits(start_seconds=30, join_seconds=3000)
    early = decide(patient, joined_cluster().room().state(None), T0 + 101)
    assert (early.requeue_after, condition(early.status, "AgentJoined").since) == (2.0, T0 + 100)


def preparing(**values: str) -> ObservedBuilder:
    return empty_cluster().room().pods(pod()).state(AgentPodState("Preparing", **values))


@pytest.mark.parametrize(
    ("cluster", "reason", "message"),
    [
        (empty_cluster().no_agent().room(), "Invalid", 'VoiceAgent "agent-66" not found in namespace "default"'),
        (preparing(problem='stt.provider "acme" is not installed'), "Invalid", '"acme" is not installed'),
        (empty_cluster().room().failed("CreatePod", "Invalid", "pod is invalid", True), "Invalid", "pod is invalid"),
        (empty_cluster().room().failed("CreatePod", "QuotaExceeded", "no quota"), "StartDeadline", "no quota"),
        (empty_cluster().no_room().failed("CreateRoom", "LiveKitRefused", "no room"), "StartDeadline", "no room"),
        (empty_cluster().room().pods(pod(problem="ErrImagePull: x")), "StartDeadline", "ErrImagePull: x"),
        (preparing(), "StartDeadline", "has not joined the room yet"),
        (joined_cluster().room().state(bound(problem="cannot join")), "StartDeadline", "cannot join"),
    ],
)
def test_start_deadline_reports_cause_and_reason(cluster: ObservedBuilder, reason: str, message: str) -> None:
    stored = session().stored(decide(session(), cluster, T0).status)
    assert decide(stored, cluster, T0 + 59.9).status.end_reason == ""
    without_failures = ObservedBuilder(replace(cluster.build(), failures=()))
    found = decide(stored, without_failures, T0 + 60)
    assert (found.status.end_reason, found.status.phase) == (reason, "Finished")
    assert message in condition(found.status, "Finished").message
    assert [(event.type, event.reason) for event in found.events] == [("Warning", "Finished")]


@pytest.mark.parametrize("late", [-5, 5])
def test_start_seconds_count_from_first_reconcile(late: float) -> None:
    first = T0 + late
    stored = session().stored(decide(session(), preparing(), first).status)
    assert decide(stored, preparing(), first + 59.9).status.end_reason == ""
    assert decide(stored, preparing(), first + 60).status.end_reason == "StartDeadline"


def test_corrected_refusal_ends_with_start_deadline() -> None:
    stored = session().stored(decide(session(), empty_cluster().no_agent().room(), T0).status)
    assert decide(stored, empty_cluster().room().pods(pod()), T0 + 60).status.end_reason == "StartDeadline"


def test_agent_joining_at_deadline_wins() -> None:
    assert decide(session(), joined_cluster(), T0 + 60).status.end_reason == ""
