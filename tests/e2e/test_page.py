"""The gateway's page in a real browser: who comes is heard and answered, and is told what goes wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import constants
from tests.support.cluster import faults, gateway
from tests.support.cluster.kubectl import Json, Kube, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.participants.browser import Screen, live, screen, spoken
from tests.support.participants.page_call import BUSY, LOAD, START, callers, connected, door, met, opened
from tests.support.participants.recording_transcriber import heard
from tests.support.participants.spoken_turns import QUESTION
from tests.support.participants.transcript_match import has_words
from tests.support.polling import always, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

BACK = 240
"""Seconds until everything is as before after LiveKit was away."""
ANSWER_SECONDS = 120
"""The microphone asks every 14 s; a busy machine may mishear it a few times."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Where pictures go: kept if PAGE_IMAGES names a directory."""
    folder = Path(os.environ.get("PAGE_IMAGES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def agent_here(kube: Kube, livekit: LiveKit, agent_66: Json) -> Iterator[str]:
    """The example agent where the release's gateway looks for it; taken away again if `make up` had not made it."""
    name, namespace = constants.EXAMPLE_AGENT, constants.EXAMPLE_NAMESPACE
    was_there = kube.get("voiceagent", name, namespace) is not None
    kube.apply(agent_66)
    kube.wait(f"voiceagent/{name}", "condition=Ready", namespace, START)
    until(lambda: gateway.local().knows(name), "the gateway knows the agent", BUSY)
    yield name
    if not was_there:
        kube.delete("voiceagent", name, namespace, "--wait=false")


def answered(shown: Screen, *wanted: str) -> None:
    """Wait for a whole answer with these words, and for its end."""
    until(lambda: any(has_words(text, *wanted) for text in shown.lines("agent")), f"answer {wanted}", ANSWER_SECONDS)
    until(lambda: shown.status() == "Listening", "the agent has finished", BUSY)


@pytest.mark.speech
def test_agent_66_is_chosen_heard_left_and_heard_again(
    kube: Kube, agent_here: str, tmp_path: Path, images: Path
) -> None:
    recordings, flaws, sessions = [], [], []
    with screen(gateway.local().url, spoken(tmp_path, QUESTION)) as shown:
        assert opened(shown).agent() == "Agent_66"
        flaws += shown.look(images, "idle")
        for visit in ("first", "second"):
            shown.record()
            name = connected(shown)
            answered(shown, "room", "agent")
            assert any(shown.lines("you"))
            until(lambda: has_words(" ".join(shown.read_aloud()), "room", "agent"), "a screen reader is told", BUSY)
            sessions.append(name)
            flaws += shown.look(images, "call") if visit == "first" else []
            recordings.append(shown.recorded())
            print(f"{visit}: {name}, {shown.marks()}, {shown.lines('agent')}")
            shown.press("Disconnect")
            assert shown.status() == "Not connected"

    assert sessions[0] == sessions[1], "who comes back within the grace is in the same session"
    found = until(lambda: _finished(kube, name), "the session is over", 60)
    assert found.end_reason == "LastHumanLeft"
    words = [heard(recording, tmp_path) for recording in recordings]
    assert all(has_words(text, "room", "agent") for text in words), words
    assert flaws == []


@pytest.mark.speech
def test_a_reload_within_the_grace_goes_on_with_the_same_agent(trial: Trial, agent_66: Json, tmp_path: Path) -> None:
    leaving = {"graceSeconds": 60, "reconnectGraceSeconds": 60}
    patient = copy_of(agent_66, "agent-66", trial.namespace, "greeting", "memory", onLastHumanLeft=leaving)
    with door(trial, tmp_path, patient) as people, screen(people.url, spoken(tmp_path, "Test one")) as shown:
        name = connected(opened(shown))
        answered(shown, "test")
        before = trial.agent_sid(trial.session(name))

        shown.reload()

        live(shown, START)
        answered(shown, "test")
        assert until(shown.session, "the session's name", BUSY) == name
        assert trial.agent_sid(trial.session(name)) == before != ""
        assert not trial.session(name).status.get("resets")
        assert len(trial.kube.all("voicesessions", trial.namespace)) == 1
        shown.press("Disconnect")


def test_a_microphone_that_is_denied_and_then_allowed(trial: Trial, tmp_path: Path, images: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with (
        door(trial, tmp_path, agent) as people,
        screen(people.url, spoken(tmp_path, QUESTION), allowed=False) as shown,
    ):
        opened(shown).press("Connect")
        until(shown.problem, "a problem is told", LOAD)
        assert shown.problem().startswith("The microphone is blocked")
        assert shown.status() == "Not connected"
        assert shown.look(images, "denied") == []
        assert trial.kube.all("voicesessions", trial.namespace) == []

        shown.allow_microphone()  # which the page notices by itself

        live(shown, START)
        assert shown.problem() == ""
        name = met(trial, shown).raw["metadata"]["name"]
        until(lambda: shown.level() > 0.1, "the level shows what is said", BUSY)
        shown.press("Disconnect")
        trial.finished(name, 60)


def test_whoever_needs_a_key_is_asked_for_it(trial: Trial, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "shop").write_text("a-key-of-the-shop-0001")
    agent = gateway.agent("joins", trial.namespace)
    with (
        door(trial, tmp_path, agent, AUTH_MODE="keys", KEYS_DIR=str(keys)) as people,
        screen(people.url, spoken(tmp_path, QUESTION)) as shown,
    ):
        assert opened(shown).problem().startswith("A key is needed")
        shown.enter_key("a-key-of-the-shop-0001")
        until(lambda: shown.agent() == "joins", "the agents are shown", LOAD)
        connected(shown)
        met(trial, shown)
        until(lambda: shown.hint() == "", "the session is followed with that key too", BUSY)
        shown.press("Disconnect")


def test_a_session_that_is_ended_from_outside_is_told_and_not_begun_again(trial: Trial, tmp_path: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, spoken(tmp_path, QUESTION)) as shown:
        name = connected(opened(shown))
        assert people.ask("DELETE", f"/api/v1/sessions/{name}").status == 204
        until(shown.problem, "the end is told", BUSY)
        assert shown.problem().startswith("The conversation has ended")
        trial.gone()
        assert shown.status() == "Not connected"


@pytest.mark.disruptive
def test_the_gateway_restarts_in_the_middle_of_a_call(kube: Kube, livekit: LiveKit, tmp_path: Path) -> None:
    name, namespace = "joins-for-the-page", constants.EXAMPLE_NAMESPACE
    people = gateway.local()
    kube.apply(gateway.agent(name, namespace))
    try:
        until(lambda: people.knows(name), "the gateway knows the agent", BUSY)
        with screen(people.url, spoken(tmp_path, QUESTION)) as shown:
            session = kube.session(connected(opened(shown, name)), namespace)
            assert session
            before = _humans(livekit, session.room)
            assert len(before) == 1

            with faults.without(kube, "gateway"):
                until(lambda: "gateway does not answer" in shown.hint(), "the page says what happened", 60)
                always(shown.is_live, "the call goes on", 5)

            until(lambda: shown.hint() == "", "the page follows the session again", 60)
            assert _humans(livekit, session.room) == before
            shown.press("Disconnect")
    finally:
        kube.delete("voiceagent", name, namespace, "--wait=false")


@pytest.mark.disruptive
def test_livekit_goes_away_in_the_middle_of_a_call_and_comes_back(trial: Trial, tmp_path: Path, images: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, spoken(tmp_path, QUESTION)) as shown:
        connected(opened(shown))
        with faults.without(trial.kube, "livekit"):
            until(lambda: "connection was lost" in shown.status(), "the page says what happened", 60)
            until(shown.problem, "livekit-client has given up", BACK)
            assert shown.look(images, "away") == []

        until(lambda: shown.is_live() and not shown.problem(), "the page is in a call again", BACK)
        assert len(_humans(trial.livekit, met(trial, shown).room)) == 1
        shown.press("Disconnect")


def _finished(kube: Kube, name: str) -> Session | None:
    found = kube.session(name, constants.EXAMPLE_NAMESPACE)
    return found if found and found.is_true("Finished") else None


def _humans(livekit: LiveKit, room: str) -> set[str]:
    return {caller.sid for caller in callers(livekit, room)}
