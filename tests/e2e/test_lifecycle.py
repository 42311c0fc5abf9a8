"""The life of a session from apply to cleanup, for every end reason."""

import pytest
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.cluster.faults import webhooks_dropped
from tests.support.cluster.manifests import RESET, agent
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

pytestmark = pytest.mark.cluster

LIVEKIT_NOTICES = 25
"""Seconds until LiveKit notices the killed process of a human; measured: 20 to 22."""
POLL = 35
"""Seconds until the operator polls LiveKit on a busy machine."""
MILLISECOND = 0.001
"""Resolution of times in the status."""
KNOWN_SECONDS = 10
"""Seconds until the operator knows an error that no pod has to report, on a busy machine."""
POD_SECONDS = 40
"""Seconds until an agent pod reports its error on a busy machine; 5 s on an idle one."""
BUSY = 20
"""Delay in seconds by tests that run at the same time."""


def test_ready_session_has_active_agent_in_room(scenario: Scenario) -> None:
    for name in ("one", "two", "three"):
        session = scenario.start_session(name)
        participants = scenario.livekit.participants(session.room)
        assert session.identity in participants
        assert session.is_true("RoomReady")
        assert session.is_true("AgentJoined")
        assert participants[session.identity].attributes["voicesession.role"] == "agent"


def test_never_joining_agent_ends_session_at_start_deadline(scenario: Scenario) -> None:
    scenario.apply_fake_agent("absent", FAKE_AGENT_JOIN="never")
    scenario.apply_session("call", "absent", start=15)

    session = scenario.wait_until_finished("call", 15 + BUSY)

    assert session.end_reason == "StartDeadline"
    assert session.status.get("readyAt") is None
    assert "startSeconds (15)" in session.condition("Finished")["message"]
    scenario.wait_until_empty()


INVALID = {
    "no such agent": (None, 'VoiceAgent "wrong" not found', KNOWN_SECONDS),
    "entry point": ({"entrypoint": "nowhere:nothing"}, "nowhere", POD_SECONDS),
    "pod": ({"pod": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}}, "limit", KNOWN_SECONDS),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_configuration_ends_session_as_invalid(scenario: Scenario, name: str) -> None:
    spec, message, seconds = INVALID[name]
    if spec is not None:
        scenario.kube.apply(agent("wrong", scenario.namespace, spec))
    scenario.apply_session("call", "wrong", start=seconds)

    session = scenario.wait_until_finished("call", seconds + BUSY)

    assert session.end_reason == "Invalid"
    assert message in session.condition("Finished")["message"]
    assert scenario.wait_for_event("call", "Finished", "Invalid")["type"] == "Warning"
    scenario.wait_until_empty()


def test_last_human_leaving_removes_room_and_pod(scenario: Scenario) -> None:
    scenario.start_session("call")
    human = scenario.join_human("call")
    assert len(scenario.agent_pods()) == 1

    human.leave()

    session = scenario.wait_until_finished("call", 1 + BUSY)
    assert session.end_reason == "LastHumanLeft"
    assert session.status["lastHumanLeftReason"] == "Left"
    scenario.wait_until_empty(BUSY)


def test_killed_human_ends_session_after_reconnect_grace(scenario: Scenario) -> None:
    scenario.start_session("call", reconnect_grace=3)
    human = scenario.join_human("call")

    human.kill()

    session = scenario.wait_until_finished("call", 3 + LIVEKIT_NOTICES + BUSY)
    assert session.end_reason == "LastHumanLeft"
    assert session.status["lastHumanLeftReason"] == "ConnectionLost"
    scenario.wait_until_empty(BUSY)


@pytest.mark.disruptive
def test_dropped_webhooks_are_replaced_by_polling(scenario: Scenario) -> None:
    with webhooks_dropped(scenario.kube):
        scenario.start_session("call")
        scenario.join_human("call").leave()
        session = scenario.wait_until_finished("call", 2 + POLL)
        scenario.wait_until_empty(BUSY)
    assert session.end_reason == "LastHumanLeft"


def test_session_ends_only_after_last_of_two_humans(scenario: Scenario) -> None:
    scenario.start_session("call", grace=2)
    alice, bob = scenario.join_human("call", "alice"), scenario.join_human("call", "bob")
    until(lambda: scenario.session("call").status["humans"] == 2, "two humans", 30)

    alice.leave()
    until(lambda: scenario.session("call").status["humans"] == 1, "one human", 30)
    assert scenario.session("call").status.get("lastHumanLeftAt") is None

    bob.leave()
    assert scenario.wait_until_finished("call", 2 + BUSY).end_reason == "LastHumanLeft"


def test_spec_end_ends_live_call(scenario: Scenario) -> None:
    scenario.start_session("call")
    scenario.join_human("call")

    scenario.kube.patch("voicesession", "call", scenario.namespace, {"spec": {"end": True}})

    assert scenario.wait_until_finished("call", BUSY).end_reason == "Requested"
    scenario.wait_until_empty(BUSY)


def test_max_duration_ends_live_call(scenario: Scenario) -> None:
    scenario.start_session("call", max_duration=12)
    scenario.join_human("call")

    assert scenario.wait_until_finished("call", 12 + BUSY).end_reason == "MaxDuration"
    scenario.wait_until_empty(BUSY)


def test_session_without_human_ends_at_join_deadline(scenario: Scenario) -> None:
    scenario.start_session("call", join=2)

    assert scenario.wait_until_finished("call", 2 + BUSY).end_reason == "NobodyCame"
    scenario.wait_until_empty(BUSY)


def test_silent_human_ends_session_as_idle(scenario: Scenario) -> None:
    scenario.kube.patch("voiceagent", "fake", scenario.namespace, {"spec": {"onLastHumanLeft": RESET}})
    room = scenario.start_session("call", idle=8).room
    alice = scenario.join_human("call")
    joined = scenario.livekit.participants(room)[alice.identity].joined_at_ms / 1000

    session = scenario.wait_until_finished("call", 8 + BUSY)

    assert session.end_reason == "Idle"
    assert "idleSeconds (8)" in session.condition("Finished")["message"]
    ended = from_rfc3339(session.status["finishedAt"]) or 0.0
    assert ended >= joined + 8 - MILLISECOND
    scenario.wait_until_empty(BUSY)


def test_finished_session_is_deleted_after_ttl(scenario: Scenario) -> None:
    scenario.apply_session("call", ttl=3, join=2)

    finished = scenario.wait_until_finished("call", 120)

    assert finished.status["finishedAt"]
    until(lambda: scenario.find_session("call") is None, "the session deleted", 3 + BUSY)
    scenario.wait_until_empty(BUSY)


@pytest.mark.parametrize("moment", ["at once", "with a room", "with a pod", "when ready", "in a call"])
def test_session_deleted_at_any_moment_leaves_no_objects(scenario: Scenario, moment: str) -> None:
    scenario.apply_session("call")
    if moment == "with a room":
        until(lambda: scenario.livekit.rooms(scenario.namespace), "a room", 30)
    if moment == "with a pod":
        until(scenario.agent_pods, "a pod", 30)
    if moment in ("when ready", "in a call"):
        scenario.kube.wait("voicesession/call", "condition=Ready", scenario.namespace, 120)
    if moment == "in a call":
        scenario.join_human("call")

    scenario.kube.delete("voicesession", "call", scenario.namespace, "--timeout=20s")

    scenario.wait_until_empty()
