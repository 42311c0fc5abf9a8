"""From an empty world to Ready: one decision per observation."""

from dataclasses import replace

import pytest
from voicesession_operator.domain.actions import CreatePod, CreateRoom, Tell
from voicesession_operator.domain.observed import PodState

from tests.support.builders import (
    IDENTITY,
    POLICY,
    ROOM,
    T0,
    UID,
    WorldBuilder,
    agent,
    agent_participant,
    bound,
    empty_world,
    joined_world,
    pod,
    ready_session,
    session,
)
from tests.support.plan_queries import condition, decide, kinds, reasons, verdict


def test_an_empty_world_gets_room_and_pod_at_once() -> None:
    found = decide(session(), empty_world().no_room(), T0)
    room, made = found.actions
    assert isinstance(room, CreateRoom)
    assert room.name == ROOM
    assert isinstance(made, CreatePod)
    assert made.manifest["metadata"]["name"] == pod().name
    assert (found.status.phase, found.status.started_at, found.events) == ("Pending", T0, ())


def test_the_first_status_says_everything_but_ready() -> None:
    found = decide(session(), empty_world().room().pods(pod(phase="Pending", ip="")), T0)
    status = found.status
    assert found.actions == ()
    assert (status.room_name, status.room_sid, status.room_url) == (ROOM, "RM_1", POLICY.public_url)
    assert (status.agent_pod, status.agent_identity, status.agent_epoch) == (pod().name, IDENTITY, 1)
    assert (status.observed_generation, status.phase) == (1, "Starting")
    assert verdict(status, "RoomReady") == ("True", "RoomCreated")
    assert verdict(status, "AgentJoined") == verdict(status, "Ready") == ("False", "Starting")


STARTING_UP: list[WorldBuilder] = [
    empty_world().room().pods(pod(phase="Pending", ip="")),
    empty_world().room().pods(pod()),
    empty_world().room().pods(pod()).state(PodState("Preparing")),
    empty_world().room().pods(pod()).state(bound(participant_sid="")),
    empty_world().room(agent_participant()).pods(pod()).state(bound(participant_sid="")),
    empty_world().room(agent_participant(active=False)).pods(pod()).state(bound()),
]


@pytest.mark.parametrize("world", STARTING_UP)
def test_nothing_on_the_way_to_ready_is_worth_a_write(world: WorldBuilder) -> None:
    first = decide(session(), STARTING_UP[0], T0).status
    later = decide(session().stored(first), world, T0 + 3)
    assert later.status == first
    assert later.events == ()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, False),
        (PodState("Preparing"), True),
        (PodState("Unbound"), True),
        (bound(session_uid="another"), True),
        (bound(epoch=0), True),
        (bound(epoch=2), False),
        (bound(), False),
    ],
)
def test_a_pod_is_told_when_its_answer_differs(state: PodState | None, told: bool) -> None:
    found = decide(session(), empty_world().room().pods(pod()).state(state), T0 + 1)
    assert kinds(found) == (["Tell"] if told else [])


def test_what_a_pod_is_told() -> None:
    definition = replace(agent(memory={"letta": {}}), letta_agent_id="agent-letta")
    world = empty_world().agent(definition).room().pods(pod()).state(PodState("Unbound"))
    (tell,) = decide(session(), world, T0 + 1).actions
    assert tell == Tell("10.0.0.1", "pod-uid-0", UID, 1, ROOM, IDENTITY, "Agent_66", "agent-letta", 60 + 3600 + 3600)


def test_a_memory_that_is_known_later_is_told_later() -> None:
    definition = replace(agent(memory={"letta": {}}), letta_agent_id="agent-letta")
    assert kinds(decide(ready_session(), joined_world().agent(definition), T0 + 9)) == ["Tell"]
    knows = joined_world().agent(definition).state(bound(memory_agent_id="agent-letta"))
    assert kinds(decide(ready_session(), knows, T0 + 9)) == []


@pytest.mark.parametrize("world", [empty_world().pods(pod(ip="")), empty_world().livekit_down().pods(pod())])
def test_a_pod_without_address_or_room_is_not_told(world: WorldBuilder) -> None:
    room_missing_is_fine = world.state(PodState("Unbound"))
    assert "Tell" not in kinds(decide(session(), room_missing_is_fine, T0 + 1))


def test_ready_means_seen_in_the_room() -> None:
    stored = decide(session(), empty_world().room().pods(pod()), T0).status
    found = decide(session().stored(stored), joined_world(), T0 + 5)
    assert verdict(found.status, "Ready") == ("True", "Ready")
    assert (found.status.ready_at, found.status.phase) == (T0 + 5, "Ready")
    assert reasons(found) == ["Ready"]
    assert found.actions == ()


@pytest.mark.parametrize(
    "world",
    [
        joined_world().state(bound(participant_sid="PA_other")),
        joined_world().state(None),
        joined_world().room(agent_participant(active=False)),
        joined_world().pods(pod(deleting=True)),
    ],
)
def test_somebody_with_the_agents_name_is_not_the_agent(world: WorldBuilder) -> None:
    stored = decide(session(), empty_world().room().pods(pod()), T0).status
    assert verdict(decide(session().stored(stored), world, T0 + 5).status, "Ready")[0] == "False"


def test_a_slow_answer_does_not_end_ready() -> None:
    found = decide(ready_session(), joined_world().state(None), T0 + 60)
    assert found.status == ready_session().build().status


def test_a_restarted_job_is_no_replacement() -> None:
    starting = joined_world().room().state(bound(participant_sid="", job_restarts=1))
    gone = decide(ready_session(), starting, T0 + 60)
    assert verdict(gone.status, "Ready") == ("False", "JobDied")
    assert [(event.type, event.reason) for event in gone.events] == [("Warning", "JobDied")]
    back = joined_world().room(agent_participant("PA_2")).state(bound(participant_sid="PA_2", job_restarts=1))
    found = decide(ready_session().stored(gone.status), back, T0 + 61)
    assert verdict(found.status, "Ready")[0] == "True"
    assert (found.status.replacements, found.status.ready_at, reasons(found)) == (0, T0 + 5, [])


@pytest.mark.parametrize(
    ("world", "now", "expected"),
    [
        (empty_world().room().pods(pod()), T0 + 1, 0.25),
        (empty_world().room().pods(pod()).state(bound(participant_sid="")), T0 + 1, 1.0),
        (empty_world().room(agent_participant()).pods(pod()).state(bound(participant_sid="")), T0 + 1, 0.1),
        (empty_world().room().pods(pod(ip="")), T0 + 1, 10.0),
        (empty_world().livekit_down().pods(pod(ip="")), T0 + 1, 2.0),
        (empty_world().room().pods(pod(ip="")), T0 + 55, 5.0),
    ],
)
def test_how_soon_we_look_again_while_starting(world: WorldBuilder, now: float, expected: float) -> None:
    stored = decide(session(), empty_world().room().pods(pod()), T0).status
    assert decide(session().stored(stored), world, now).requeue_after == pytest.approx(expected)


def test_a_pod_that_stays_silent_is_asked_less_often() -> None:
    stored = decide(ready_session(), joined_world().room().state(None), T0 + 100).status
    patient = session().stored(stored).limits(start_seconds=30, join_seconds=3000)
    early = decide(patient, joined_world().room().state(None), T0 + 101)
    assert (early.requeue_after, condition(early.status, "AgentJoined").since) == (0.25, T0 + 100)


def preparing(**values: str) -> WorldBuilder:
    return empty_world().room().pods(pod()).state(PodState("Preparing", **values))


@pytest.mark.parametrize(
    ("world", "reason", "message"),
    [
        (empty_world().no_agent().room(), "Invalid", 'VoiceAgent "agent-66" not found in namespace "default"'),
        (preparing(trouble='stt.provider "acme" is not installed'), "Invalid", '"acme" is not installed'),
        (empty_world().room().failed("CreatePod", "Invalid", "pod is invalid", True), "Invalid", "pod is invalid"),
        (empty_world().room().failed("CreatePod", "QuotaExceeded", "no quota"), "StartDeadline", "no quota"),
        (empty_world().no_room().failed("CreateRoom", "LiveKitRefused", "no room"), "StartDeadline", "no room"),
        (empty_world().room().pods(pod(trouble="ErrImagePull: x")), "StartDeadline", "ErrImagePull: x"),
        (preparing(), "StartDeadline", "has not joined the room yet"),
        (joined_world().room().state(bound(trouble="cannot join")), "StartDeadline", "cannot join"),
    ],
)
def test_the_deadline_says_what_was_missing_and_whether_waiting_could_have_helped(
    world: WorldBuilder, reason: str, message: str
) -> None:
    stored = session().stored(decide(session(), world, T0).status)
    assert decide(stored, world, T0 + 59.9).status.end_reason == ""
    not_tried_again = WorldBuilder(replace(world.build(), failures=()))
    found = decide(stored, not_tried_again, T0 + 60)
    assert (found.status.end_reason, found.status.phase) == (reason, "Finished")
    assert message in condition(found.status, "Finished").message
    assert [(event.type, event.reason) for event in found.events] == [("Warning", "Finished")]


def test_what_was_refused_and_is_mended_by_then_is_not_invalid() -> None:
    stored = session().stored(decide(session(), empty_world().no_agent().room(), T0).status)
    assert decide(stored, empty_world().room().pods(pod()), T0 + 60).status.end_reason == "StartDeadline"


def test_agent_that_arrives_with_the_deadline_wins() -> None:
    assert decide(session(), joined_world(), T0 + 60).status.end_reason == ""
