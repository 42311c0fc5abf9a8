"""The page's controls and its errors: mute, microphones, keyboard, unreachable servers, frozen tabs."""

from pathlib import Path

import pytest
from livekit import api

from tests.support.cluster import faults, gateway
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.participants import browser_routes
from tests.support.participants.browser import BrowserTab, microphone_recording, open_tab, wait_until_live
from tests.support.participants.page_call import (
    BUSY,
    LOAD,
    START,
    gateway_participants,
    open_page,
    page_gateway,
    session_on_page,
    start_call,
)
from tests.support.polling import always, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RECOVERY_SECONDS = 240
"""Seconds until the recovery from an outage of LiveKit."""
QUALITY_SECONDS = 60
WORD = "Test"


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Return a recording for the microphone."""
    return microphone_recording(tmp_path, WORD)


def test_mute_by_button_and_by_server_is_shown(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        start_call(open_page(tab))
        room = session_on_page(scenario, tab).room
        until(lambda: _is_muted(scenario.livekit, room) == [False], "LiveKit has the microphone", BUSY)

        tab.press_button("Mute")
        assert tab.is_muted()
        until(lambda: _is_muted(scenario.livekit, room) == [True], "LiveKit has the microphone muted", BUSY)
        tab.press_button("Mute")
        assert not tab.is_muted()
        until(lambda: _is_muted(scenario.livekit, room) == [False], "LiveKit has the microphone again", BUSY)

        (caller,) = gateway_participants(scenario.livekit, room)
        scenario.livekit.mute(room, caller.identity)
        until(tab.is_muted, "the page shows the mute by the server", BUSY)
        assert "muted from outside" in tab.hint()
        tab.press_button("Mute")
        until(lambda: _is_muted(scenario.livekit, room) == [False], "LiveKit has the microphone unmuted", BUSY)
        assert tab.hint() == ""
        tab.press_button("Disconnect")


def test_microphone_change_keeps_call(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        name = start_call(open_page(tab))
        room = session_on_page(scenario, tab).room
        another = until(lambda: tab.microphones()[1:], "the microphones have names", BUSY)[-1]

        tab.choose_microphone(another)

        always(lambda: tab.is_in_call() and tab.microphone() == another, "the call goes on", 3)
        until(lambda: tab.level() > 0.1, "the level shows the new microphone", BUSY)
        assert (tab.session(), tab.hint()) == (name, "")
        assert _is_muted(scenario.livekit, room) == [False]
        until(lambda: tab.quality() in ("Excellent", "Good", "Poor"), "the connection's quality", QUALITY_SECONDS)
        tab.press_button("Disconnect")


def test_unavailable_microphone_mutes_call(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        start_call(open_page(tab))
        room = session_on_page(scenario, tab).room
        until(lambda: _is_muted(scenario.livekit, room) == [False], "LiveKit has the microphone", BUSY)
        before = tab.microphone()
        another = until(lambda: tab.microphones()[1:], "the microphones have names", BUSY)[-1]
        tab.disable_microphones()

        tab.choose_microphone(another)

        until(tab.is_muted, "the page is muted, because no microphone is available", BUSY)
        assert tab.microphone() == before
        assert "microphone was lost" in tab.hint()
        tab.press_button("Mute")
        until(lambda: "does not answer" in tab.hint(), "the page gives the reason of the mute", BUSY)
        assert tab.is_in_call()
        assert tab.is_muted()
        tab.press_button("Disconnect")


def test_keyboard_operates_whole_call(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        open_page(tab).tab_to("Connect")
        tab.press_key("Enter")
        wait_until_live(tab, START)
        assert tab.focused() == "Disconnect"
        tab.press_key("Shift+Tab")
        tab.press_key("Space")
        assert tab.is_muted()
        tab.press_key("Tab")
        tab.press_key("Enter")
        until(lambda: tab.status() == "Not connected", "the call has ended", LOAD)
        assert tab.focused() == "Connect"


def test_unreachable_gateway_on_load_can_be_retried(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        with tab.intercept(browser_routes.unreachable, "/config.json", "/api/v1/agents"):
            assert open_page(tab).problem().startswith("The server does not answer")
            assert tab.agent() == "Agent"
            tab.tab_to("Try again")
        tab.press_key("Enter")
        until(lambda: tab.agent() == "joins", "the agents are shown", LOAD)
        assert tab.problem() == ""
        assert tab.focused() == "Connect"


def test_hanging_gateway_is_reported_and_retried(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent, READY_SECONDS="20") as client, open_tab(client.url, wav) as tab:
        open_page(tab)
        with tab.intercept(browser_routes.hang, "/token", "/api/v1/sessions"):
            tab.press_button("Connect")
            until(lambda: "gateway does not answer" in tab.hint(), "the page reports the delay", 12 + BUSY)
            until(tab.problem, "the page stops waiting", 35 + BUSY)
            assert tab.problem().startswith("The server does not answer")
        wait_until_live(tab, START)
        assert tab.problem() == ""
        session_on_page(scenario, tab)
        assert len(scenario.kube.all("voicesessions", scenario.namespace)) == 1
        tab.press_button("Disconnect")


def test_rate_limit_rejects_new_call_and_delays_return(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        open_page(tab)
        with tab.intercept(browser_routes.rate_limited, "/token"):
            tab.press_button("Connect")
            until(tab.problem, "the limit is shown", LOAD)
            assert tab.problem().startswith("Too many at once")
            assert tab.status() == "Not connected"
        start_call(tab)
        with tab.intercept(browser_routes.rate_limited, "/token"):
            tab.reload()
            until(tab.problem, "the limit is shown", LOAD)
            assert tab.problem().startswith("Too many at once")
            assert tab.status().startswith("Trying again")
        wait_until_live(tab, START)
        assert tab.problem() == ""
        tab.press_button("Disconnect")


def test_agent_in_address_joins_call(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    scenario.kube.apply(gateway.agent("other", scenario.namespace))
    scenario.kube.wait("voiceagent/other", "condition=Ready", scenario.namespace, START)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        until(lambda: client.lists_agent("other"), "the gateway lists the other agent", BUSY)
        assert open_page(tab).agent() == "joins"
        assert open_page(tab, "other").agent() == "other"
        start_call(tab)
        assert session_on_page(scenario, tab).raw["spec"]["agentRef"]["name"] == "other"
        tab.press_button("Disconnect")


def test_frozen_tab_returns_to_call_on_resume(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        start_call(open_page(tab))
        room = session_on_page(scenario, tab).room
        tab.dispatch_event("freeze")
        until(lambda: not gateway_participants(scenario.livekit, room), "livekit-client has left the room", BUSY)

        tab.dispatch_event("resume")

        wait_until_live(tab, START)
        assert len(gateway_participants(scenario.livekit, session_on_page(scenario, tab).room)) == 1
        assert tab.problem() == ""
        tab.press_button("Disconnect")


@pytest.mark.slow
@pytest.mark.disruptive
def test_call_started_during_livekit_outage_is_admitted_later(scenario: Scenario, tmp_path: Path, wav: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with page_gateway(scenario, tmp_path, agent) as client, open_tab(client.url, wav) as tab:
        open_page(tab)
        with faults.without(scenario.kube, "livekit"):
            tab.press_button("Connect")
            until(lambda: _message_with(tab, "LiveKit"), "the page names LiveKit", 60)
            assert not tab.is_in_call()
        wait_until_live(tab, RECOVERY_SECONDS)
        assert _message_with(tab, "LiveKit") == ""
        assert len(gateway_participants(scenario.livekit, session_on_page(scenario, tab).room)) == 1
        tab.press_button("Disconnect")


def _message_with(tab: BrowserTab, word: str) -> str:
    """Return the hint or the problem that contains the word."""
    return next((text for text in (tab.hint(), tab.problem()) if word in text), "")


def _is_muted(livekit: LiveKit, room: str) -> list[bool]:
    """Return the state of each microphone of the gateway's participants."""
    tracks = [track for caller in gateway_participants(livekit, room) for track in caller.tracks]
    return [track.muted for track in tracks if track.source == api.TrackSource.MICROPHONE]
