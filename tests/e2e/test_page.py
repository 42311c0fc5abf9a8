"""The gateway's page in a real browser: calls with speech, the microphone, keys, and outages."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import constants
from tests.support.cluster import faults, gateway
from tests.support.cluster.kubectl import Json, Kube, Session
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
from tests.support.participants.recording_transcriber import transcribe
from tests.support.participants.spoken_turns import QUESTION
from tests.support.participants.transcript_match import has_words
from tests.support.polling import always, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RECOVERY_SECONDS = 240
"""Seconds until the recovery from an outage of LiveKit."""
SLOW_SECONDS = 12
"""Delay of the token, beside the 3 s of a slow reload."""
CLOSED_SECONDS = 120
"""LiveKit's 22 s until a closed tab is noticed, and reconnectGraceSeconds."""
ANSWER_SECONDS = 120
"""The microphone repeats its question every 14 s; a busy machine may mishear it a few times."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return the folder for pictures: PAGE_IMAGES, or a temporary one."""
    folder = Path(os.environ.get("PAGE_IMAGES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def released_agent(kube: Kube, livekit: LiveKit, agent_66: Json) -> Iterator[str]:
    """Apply the example agent in the gateway's namespace; delete it afterwards unless it existed before."""
    name, namespace = constants.EXAMPLE_AGENT, constants.EXAMPLE_NAMESPACE
    existed = kube.get("voiceagent", name, namespace) is not None
    kube.apply(agent_66)
    kube.wait(f"voiceagent/{name}", "condition=Ready", namespace, START)
    until(lambda: gateway.local().lists_agent(name), "the gateway lists the agent", BUSY)
    yield name
    if not existed:
        kube.delete("voiceagent", name, namespace, "--wait=false")


def wait_for_answer(tab: BrowserTab, *keywords: str) -> None:
    """Wait for a complete answer with the keywords, and for its end."""
    until(
        lambda: any(has_words(text, *keywords) for text in tab.transcript_lines("agent")),
        f"answer {keywords}",
        ANSWER_SECONDS,
    )
    until(lambda: tab.status() == "Listening", "the agent has finished", BUSY)


@pytest.mark.speech
def test_page_call_with_example_agent_works_twice(
    kube: Kube, released_agent: str, tmp_path: Path, images: Path
) -> None:
    recordings, violations, sessions = [], [], []
    with open_tab(gateway.local().url, microphone_recording(tmp_path, QUESTION)) as tab:
        assert open_page(tab).agent() == "Agent_66"
        violations += tab.take_pictures(images, "idle")
        for visit in ("first", "second"):
            tab.start_recording()
            name = start_call(tab)
            wait_for_answer(tab, "room", "agent")
            assert any(tab.transcript_lines("you"))
            until(
                lambda: has_words(" ".join(tab.announcements()), "room", "agent"), "an announcement of the answer", BUSY
            )
            sessions.append(name)
            violations += tab.take_pictures(images, "call") if visit == "first" else []
            recordings.append(tab.recordings())
            print(f"{visit}: {name}, {tab.marks()}, {tab.transcript_lines('agent')}")
            tab.press_button("Disconnect")
            assert tab.status() == "Not connected"

    assert sessions[0] == sessions[1], "a human who returns within the grace is in another session"
    found = until(lambda: _finished(kube, name), "the session is over", 60)
    assert found.end_reason == "LastHumanLeft"
    words = [transcribe(recording, tmp_path) for recording in recordings]
    assert all(has_words(text, "room", "agent") for text in words), words
    assert violations == []


def test_reload_within_grace_returns_to_same_agent(scenario: Scenario, tmp_path: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    agent["spec"]["onLastHumanLeft"] = {"graceSeconds": 60, "reconnectGraceSeconds": 60}
    with (
        page_gateway(scenario, tmp_path, agent) as client,
        open_tab(client.url, microphone_recording(tmp_path, "Test one")) as tab,
    ):
        name = start_call(open_page(tab))
        before = scenario.agent_sid(session_on_page(scenario, tab))

        tab.reload()

        wait_until_live(tab, START)
        assert until(tab.session, "the session's name", BUSY) == name
        after = session_on_page(scenario, tab)
        assert scenario.agent_sid(after) == before != ""
        assert not after.status.get("resets")
        assert len(scenario.kube.all("voicesessions", scenario.namespace)) == 1
        tab.press_button("Disconnect")


def test_slow_reload_with_default_grace_returns_to_same_agent(scenario: Scenario, tmp_path: Path) -> None:
    """Let a phone with a round trip of 400 ms and 400 kbit/s need 15 s for the reload."""
    with (
        page_gateway(scenario, tmp_path, gateway.agent("joins", scenario.namespace)) as client,
        open_tab(client.url, microphone_recording(tmp_path, "Test one")) as tab,
    ):
        name = start_call(open_page(tab))
        before = session_on_page(scenario, tab)
        sid = scenario.agent_sid(before)
        tab.use_slow_network(round_trip_ms=400, bytes_per_second=50_000)

        with tab.intercept(browser_routes.delayed(SLOW_SECONDS), "/token"):
            tab.reload()
            wait_until_live(tab, START)

        assert until(tab.session, "the session's name", BUSY) == name
        after = session_on_page(scenario, tab)
        assert (after.pod, scenario.agent_sid(after)) == (before.pod, sid)
        assert not after.status.get("resets")
        assert len(scenario.kube.all("voicesessions", scenario.namespace)) == 1


@pytest.mark.slow
def test_closed_tab_ends_session(scenario: Scenario, tmp_path: Path) -> None:
    with page_gateway(scenario, tmp_path, gateway.agent("joins", scenario.namespace)) as client:
        with open_tab(client.url, microphone_recording(tmp_path, "Test one")) as tab:
            name = start_call(open_page(tab))
            session_on_page(scenario, tab)
        closed = time.monotonic()
        assert scenario.wait_until_finished(name, CLOSED_SECONDS).end_reason == "LastHumanLeft"
        print(f"ended {time.monotonic() - closed:.0f} s after the tab was closed")


def test_denied_microphone_is_reported_and_allowed_later(scenario: Scenario, tmp_path: Path, images: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with (
        page_gateway(scenario, tmp_path, agent) as client,
        open_tab(client.url, microphone_recording(tmp_path, QUESTION), allowed=False) as tab,
    ):
        open_page(tab).press_button("Connect")
        until(tab.problem, "a problem is shown", LOAD)
        assert tab.problem().startswith("The microphone is blocked")
        assert tab.status() == "Not connected"
        assert tab.take_pictures(images, "denied") == []
        assert scenario.kube.all("voicesessions", scenario.namespace) == []

        tab.allow_microphone()  # the page notices it without a reload

        wait_until_live(tab, START)
        assert tab.problem() == ""
        name = session_on_page(scenario, tab).raw["metadata"]["name"]
        until(lambda: tab.level() > 0.1, "the level shows speech", BUSY)
        tab.press_button("Disconnect")
        scenario.wait_until_finished(name, 60)


def test_page_asks_for_required_key(scenario: Scenario, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "shop").write_text("a-key-of-the-shop-0001")
    agent = gateway.agent("joins", scenario.namespace)
    with (
        page_gateway(scenario, tmp_path, agent, AUTH_MODE="keys", KEYS_DIR=str(keys)) as client,
        open_tab(client.url, microphone_recording(tmp_path, QUESTION)) as tab,
    ):
        assert open_page(tab).problem().startswith("A key is needed")
        tab.enter_key("a-key-of-the-shop-0001")
        until(lambda: tab.agent() == "joins", "the agents are shown", LOAD)
        start_call(tab)
        session_on_page(scenario, tab)
        until(lambda: tab.hint() == "", "the session is followed with that key too", BUSY)
        tab.press_button("Disconnect")


def test_deleted_session_is_reported_and_not_restarted(scenario: Scenario, tmp_path: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with (
        page_gateway(scenario, tmp_path, agent) as client,
        open_tab(client.url, microphone_recording(tmp_path, QUESTION)) as tab,
    ):
        name = start_call(open_page(tab))
        assert client.request("DELETE", f"/api/v1/sessions/{name}").status == 204
        until(tab.problem, "the end is shown", BUSY)
        assert tab.problem().startswith("The conversation has ended")
        scenario.wait_until_empty()
        assert tab.status() == "Not connected"


@pytest.mark.slow
@pytest.mark.disruptive
def test_call_survives_gateway_outage(kube: Kube, livekit: LiveKit, tmp_path: Path) -> None:
    name, namespace = "joins-for-the-page", constants.EXAMPLE_NAMESPACE
    client = gateway.local()
    kube.apply(gateway.agent(name, namespace))
    try:
        until(lambda: client.lists_agent(name), "the gateway lists the agent", BUSY)
        with open_tab(client.url, microphone_recording(tmp_path, QUESTION)) as tab:
            session = kube.session(start_call(open_page(tab, name)), namespace)
            assert session
            before = _human_sids(livekit, session.room)
            assert len(before) == 1

            with faults.without(kube, "gateway"):
                until(lambda: "gateway does not answer" in tab.hint(), "the page reports the outage", 60)
                always(tab.is_in_call, "the call goes on", 5)

            until(lambda: tab.hint() == "", "the page follows the session again", 60)
            assert _human_sids(livekit, session.room) == before
            tab.press_button("Disconnect")
    finally:
        kube.delete("voiceagent", name, namespace, "--wait=false")


@pytest.mark.slow
@pytest.mark.disruptive
def test_call_recovers_after_livekit_outage(scenario: Scenario, tmp_path: Path, images: Path) -> None:
    agent = gateway.agent("joins", scenario.namespace)
    with (
        page_gateway(scenario, tmp_path, agent) as client,
        open_tab(client.url, microphone_recording(tmp_path, QUESTION)) as tab,
    ):
        start_call(open_page(tab))
        with faults.without(scenario.kube, "livekit"):
            until(lambda: "connection was lost" in tab.status(), "the page reports the outage", 60)
            until(tab.problem, "livekit-client has given up", RECOVERY_SECONDS)
            assert tab.take_pictures(images, "away") == []

        until(lambda: tab.is_in_call() and not tab.problem(), "the page is in a call again", RECOVERY_SECONDS)
        assert len(_human_sids(scenario.livekit, session_on_page(scenario, tab).room)) == 1
        tab.press_button("Disconnect")


def _finished(kube: Kube, name: str) -> Session | None:
    found = kube.session(name, constants.EXAMPLE_NAMESPACE)
    return found if found and found.is_true("Finished") else None


def _human_sids(livekit: LiveKit, room: str) -> set[str]:
    return {caller.sid for caller in gateway_participants(livekit, room)}
