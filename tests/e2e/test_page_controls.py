"""What people do with the page beside talking: mute, another microphone, the keyboard alone, a bad moment to come."""

from pathlib import Path

import pytest
from livekit import api

from tests.support.cluster import faults, gateway
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.participants import browser_routes
from tests.support.participants.browser import Screen, live, screen, spoken
from tests.support.participants.page_call import BUSY, LOAD, START, callers, connected, door, met, opened
from tests.support.polling import always, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

BACK = 240
"""Seconds until everything is as before after LiveKit was away."""
QUALITY_SECONDS = 60
ONE_WORD = "Test"


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return spoken(tmp_path, ONE_WORD)


def test_mute_is_mute_whoever_mutes(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        connected(opened(shown))
        room = met(trial, shown).room
        until(lambda: _is_muted(trial.livekit, room) == [False], "LiveKit has her microphone", BUSY)

        shown.press("Mute")
        assert shown.is_muted()
        until(lambda: _is_muted(trial.livekit, room) == [True], "LiveKit knows that she is muted", BUSY)
        shown.press("Mute")
        assert not shown.is_muted()
        until(lambda: _is_muted(trial.livekit, room) == [False], "LiveKit has her microphone again", BUSY)

        (caller,) = callers(trial.livekit, room)
        trial.livekit.mute(room, caller.identity)
        until(shown.is_muted, "the page shows that somebody muted her", BUSY)
        assert "muted from outside" in shown.hint()
        shown.press("Mute")
        until(lambda: _is_muted(trial.livekit, room) == [False], "she has unmuted herself", BUSY)
        assert shown.hint() == ""
        shown.press("Disconnect")


def test_another_microphone_in_the_middle_of_a_call(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        name = connected(opened(shown))
        room = met(trial, shown).room
        another = until(lambda: shown.microphones()[1:], "the microphones have names", BUSY)[-1]

        shown.choose_microphone(another)

        always(lambda: shown.is_live() and shown.microphone() == another, "the call goes on", 3)
        until(lambda: shown.level() > 0.1, "the level shows what that one hears", BUSY)
        assert (shown.session(), shown.hint()) == (name, "")
        assert _is_muted(trial.livekit, room) == [False]
        until(lambda: shown.quality() in ("Excellent", "Good", "Poor"), "the connection's quality", QUALITY_SECONDS)
        shown.press("Disconnect")


def test_a_microphone_that_cannot_be_had_in_the_middle_of_a_call(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        connected(opened(shown))
        room = met(trial, shown).room
        until(lambda: _is_muted(trial.livekit, room) == [False], "LiveKit has her microphone", BUSY)
        before = shown.microphone()
        another = until(lambda: shown.microphones()[1:], "the microphones have names", BUSY)[-1]
        shown.lend_no_microphone()

        shown.choose_microphone(another)

        until(shown.is_muted, "she is shown as muted, as neither can be had", BUSY)
        assert shown.microphone() == before
        assert "microphone was lost" in shown.hint()
        shown.press("Mute")
        until(lambda: "does not answer" in shown.hint(), "the page says why she stays muted", BUSY)
        assert shown.is_live()
        assert shown.is_muted()
        shown.press("Disconnect")


def test_the_keyboard_alone_is_enough(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        opened(shown).tab_to("Connect")
        shown.strike("Enter")
        live(shown, START)
        assert shown.focused() == "Disconnect"
        shown.strike("Shift+Tab")
        shown.strike("Space")
        assert shown.is_muted()
        shown.strike("Tab")
        shown.strike("Enter")
        until(lambda: shown.status() == "Not connected", "she has left", LOAD)
        assert shown.focused() == "Connect"


def test_a_gateway_that_is_away_while_the_page_loads(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        with shown.meeting(browser_routes.nobody, "/config.json", "/api/v1/agents"):
            assert opened(shown).problem().startswith("The server does not answer")
            assert shown.agent() == "Agent"
            shown.tab_to("Try again")
        shown.strike("Enter")
        until(lambda: shown.agent() == "joins", "the agents are shown", LOAD)
        assert shown.problem() == ""
        assert shown.focused() == "Connect"


def test_a_gateway_that_leaves_requests_hanging_is_told_and_asked_again(
    trial: Trial, tmp_path: Path, wav: Path
) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent, READY_SECONDS="20") as people, screen(people.url, wav) as shown:
        opened(shown)
        with shown.meeting(browser_routes.silence, "/token", "/api/v1/sessions"):
            shown.press("Connect")
            until(lambda: "gateway does not answer" in shown.hint(), "the page says so soon", 12 + BUSY)
            until(shown.problem, "the page does not wait for ever", 35 + BUSY)
            assert shown.problem().startswith("The server does not answer")
        live(shown, START)
        assert shown.problem() == ""
        met(trial, shown)
        assert len(trial.kube.all("voicesessions", trial.namespace)) == 1
        shown.press("Disconnect")


def test_a_limit_ends_what_has_not_begun_and_is_waited_for_on_the_way_back(
    trial: Trial, tmp_path: Path, wav: Path
) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        opened(shown)
        with shown.meeting(browser_routes.a_limit, "/token"):
            shown.press("Connect")
            until(shown.problem, "the limit is told", LOAD)
            assert shown.problem().startswith("Too many at once")
            assert shown.status() == "Not connected"
        connected(shown)
        with shown.meeting(browser_routes.a_limit, "/token"):
            shown.reload()
            until(shown.problem, "the limit is told", LOAD)
            assert shown.problem().startswith("Too many at once")
            assert shown.status().startswith("Trying again")
        live(shown, START)
        assert shown.problem() == ""
        shown.press("Disconnect")


def test_the_agent_in_the_address_is_the_one_that_comes(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    trial.kube.apply(gateway.agent("other", trial.namespace))
    trial.kube.wait("voiceagent/other", "condition=Ready", trial.namespace, START)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        until(lambda: people.knows("other"), "the gateway knows the other agent", BUSY)
        assert opened(shown).agent() == "joins"
        assert opened(shown, "other").agent() == "other"
        connected(shown)
        assert met(trial, shown).raw["spec"]["agentRef"]["name"] == "other"
        shown.press("Disconnect")


def test_a_tab_that_the_browser_freezes_is_in_a_call_again_once_it_is_awake(
    trial: Trial, tmp_path: Path, wav: Path
) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        connected(opened(shown))
        room = met(trial, shown).room
        shown.live_through("freeze")
        until(lambda: not callers(trial.livekit, room), "livekit-client has left the room", BUSY)

        shown.live_through("resume")

        live(shown, START)
        assert len(callers(trial.livekit, met(trial, shown).room)) == 1
        assert shown.problem() == ""
        shown.press("Disconnect")


@pytest.mark.disruptive
def test_whoever_comes_while_livekit_is_away_is_told_and_let_in_later(trial: Trial, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", trial.namespace)
    with door(trial, tmp_path, agent) as people, screen(people.url, wav) as shown:
        opened(shown)
        with faults.without(trial.kube, "livekit"):
            shown.press("Connect")
            until(lambda: _told(shown, "LiveKit"), "the page says what is missing", 60)
            assert not shown.is_live()
        live(shown, BACK)
        assert _told(shown, "LiveKit") == ""
        assert len(callers(trial.livekit, met(trial, shown).room)) == 1
        shown.press("Disconnect")


def _told(shown: Screen, word: str) -> str:
    """The hint, or the problem, that has this word."""
    return next((text for text in (shown.hint(), shown.problem()) if word in text), "")


def _is_muted(livekit: LiveKit, room: str) -> list[bool]:
    """For each microphone of those who came through a gateway."""
    tracks = [track for caller in callers(livekit, room) for track in caller.tracks]
    return [track.muted for track in tracks if track.source == api.TrackSource.MICROPHONE]
