"""From apply to nothing left: every way a session may end."""

import pytest
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.cluster.faults import webhooks_dropped
from tests.support.cluster.manifests import RESET, agent
from tests.support.cluster.scenario import Trial
from tests.support.polling import until

pytestmark = pytest.mark.cluster

LIVEKIT_NOTICES = 25
"""Seconds until LiveKit tells of a human whose process was killed: 20 to 22, measured."""
POLL = 35
"""What may pass without any webhook: the operator's poll, on a busy machine."""
MILLISECOND = 0.001
"""What times in a status are rounded to."""
POD_SECONDS = 40
"""An agent pod tells what is wrong with it by then, also on a busy machine; 5 s on an idle one."""
BUSY = 20
"""What other tests beside this one may add to anything, in seconds."""


def test_ready_means_that_the_agent_is_active_in_the_room(trial: Trial) -> None:
    for name in ("one", "two", "three"):
        session = trial.ready(name)
        there = trial.livekit.participants(session.room)
        assert session.identity in there
        assert session.is_true("RoomReady")
        assert session.is_true("AgentJoined")
        assert there[session.identity].attributes["voicesession.role"] == "agent"


def test_an_agent_that_never_joins_is_never_ready(trial: Trial) -> None:
    trial.fake_agent("absent", FAKE_AGENT_JOIN="never")
    trial.start("call", "absent", start=15)

    session = trial.finished("call", 15 + BUSY)

    assert session.end_reason == "StartDeadline"
    assert session.status.get("readyAt") is None
    assert "startSeconds (15)" in session.condition("Finished")["message"]
    trial.gone()


WRITTEN_WRONG = {
    "no such agent": (None, 'VoiceAgent "wrong" not found', 3),
    "entry point": ({"entrypoint": "nowhere:nothing"}, "nowhere", POD_SECONDS),
    "pod": ({"pod": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}}, "limit", 3),
}


@pytest.mark.parametrize("what", WRITTEN_WRONG)
def test_what_cannot_work_as_written_ends_as_invalid(trial: Trial, what: str) -> None:
    spec, words, seconds = WRITTEN_WRONG[what]
    if spec is not None:
        trial.kube.apply(agent("wrong", trial.namespace, spec))
    trial.start("call", "wrong", start=seconds)

    session = trial.finished("call", seconds + BUSY)

    assert session.end_reason == "Invalid"
    assert words in session.condition("Finished")["message"]
    assert trial.event("call", "Finished", "Invalid")["type"] == "Warning"
    trial.gone()


def test_the_last_human_leaves_and_everything_goes(trial: Trial) -> None:
    trial.ready("call")
    visitor = trial.visit("call")
    assert len(trial.pods()) == 1

    visitor.leave()

    session = trial.finished("call", 1 + BUSY)
    assert session.end_reason == "LastHumanLeft"
    assert session.status["lastHumanLeftReason"] == "Left"
    trial.gone(BUSY)


def test_a_killed_human_is_waited_for_and_then_it_is_over(trial: Trial) -> None:
    trial.ready("call", reconnect_grace=3)
    visitor = trial.visit("call")

    visitor.kill()

    session = trial.finished("call", 3 + LIVEKIT_NOTICES + BUSY)
    assert session.end_reason == "LastHumanLeft"
    assert session.status["lastHumanLeftReason"] == "ConnectionLost"
    trial.gone(BUSY)


@pytest.mark.disruptive
def test_with_every_webhook_dropped_polling_finds_out(trial: Trial) -> None:
    with webhooks_dropped(trial.kube):
        trial.ready("call")
        trial.visit("call").leave()
        session = trial.finished("call", 2 + POLL)
        trial.gone(BUSY)
    assert session.end_reason == "LastHumanLeft"


def test_two_humans_only_the_last_one_counts(trial: Trial) -> None:
    trial.ready("call", grace=2)
    alice, bob = trial.visit("call", "alice"), trial.visit("call", "bob")
    until(lambda: trial.session("call").status["humans"] == 2, "two humans", 30)

    alice.leave()
    until(lambda: trial.session("call").status["humans"] == 1, "one human", 30)
    assert trial.session("call").status.get("lastHumanLeftAt") is None

    bob.leave()
    assert trial.finished("call", 2 + BUSY).end_reason == "LastHumanLeft"


def test_end_true_ends_it_in_the_middle_of_a_call(trial: Trial) -> None:
    trial.ready("call")
    trial.visit("call")

    trial.kube.patch("voicesession", "call", trial.namespace, {"spec": {"end": True}})

    assert trial.finished("call", BUSY).end_reason == "Requested"
    trial.gone(BUSY)


def test_max_duration_ends_it_in_the_middle_of_a_call(trial: Trial) -> None:
    trial.ready("call", max_duration=12)
    trial.visit("call")

    assert trial.finished("call", 12 + BUSY).end_reason == "MaxDuration"
    trial.gone(BUSY)


def test_nobody_comes(trial: Trial) -> None:
    trial.ready("call", join=2)

    assert trial.finished("call", 2 + BUSY).end_reason == "NobodyCame"
    trial.gone(BUSY)


def test_people_who_say_nothing_end_it(trial: Trial) -> None:
    trial.kube.patch("voiceagent", "fake", trial.namespace, {"spec": {"onLastHumanLeft": RESET}})
    room = trial.ready("call", idle=8).room
    alice = trial.visit("call")
    came = trial.livekit.participants(room)[alice.identity].joined_at_ms / 1000

    session = trial.finished("call", 8 + BUSY)

    assert session.end_reason == "Idle"
    assert "idleSeconds (8)" in session.condition("Finished")["message"]
    ended = from_rfc3339(session.status["finishedAt"]) or 0.0
    assert ended >= came + 8 - MILLISECOND
    trial.gone(BUSY)


def test_a_finished_session_is_kept_for_its_ttl_and_then_deleted(trial: Trial) -> None:
    trial.start("call", ttl=3, join=2)

    finished = trial.finished("call", 120)

    assert finished.status["finishedAt"]
    until(lambda: trial.find("call") is None, "the session deleted", 3 + BUSY)
    trial.gone(BUSY)


@pytest.mark.parametrize("moment", ["at once", "with a room", "with a pod", "when ready", "in a call"])
def test_deleting_it_at_any_moment_leaves_nothing(trial: Trial, moment: str) -> None:
    trial.start("call")
    if moment == "with a room":
        until(lambda: trial.livekit.rooms(trial.namespace), "a room", 30)
    if moment == "with a pod":
        until(trial.pods, "a pod", 30)
    if moment in ("when ready", "in a call"):
        trial.kube.wait("voicesession/call", "condition=Ready", trial.namespace, 120)
    if moment == "in a call":
        trial.visit("call")

    trial.kube.delete("voicesession", "call", trial.namespace, "--timeout=20s")

    trial.gone()
