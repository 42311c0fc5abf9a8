"""Steps of a call on the gateway's page: open the page, start the call, find the session."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livekit import api

from hack.cluster import web_page
from tests.support.cluster.gateway import Replica, replica
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.participants.browser import BrowserTab, wait_until_live
from tests.support.polling import until

LOAD, BUSY, START = 20, 30, 150
"""Seconds for the page to load, for the delay by other tests, and for an agent to start."""
SESSION_ATTRIBUTE = "voicesession.session"


@contextmanager
def page_gateway(scenario: Scenario, folder: Path, agent: Json, **settings: str) -> Iterator[Replica]:
    """Start a gateway of the test's namespace that serves the page with this agent as its default."""
    scenario.kube.apply(agent)
    name = agent["metadata"]["name"]
    scenario.kube.wait(f"voiceagent/{name}", "condition=Ready", scenario.namespace, START)
    page_settings = {"PAGE_DIR": str(web_page.DIST), "DEFAULT_AGENT": name, **settings}
    with replica(scenario.kube, scenario.livekit, scenario.namespace, folder, **page_settings) as gateway:
        if "AUTH_MODE" not in settings:
            until(lambda: gateway.lists_agent(name), "the gateway lists the agent", BUSY)
        yield gateway


def open_page(tab: BrowserTab, agent: str = "") -> BrowserTab:
    """Open the page and wait until it shows an agent or a problem."""
    tab.open(agent)
    until(lambda: tab.agent() != "Agent" or tab.problem(), "the page has agents, or a problem", LOAD)
    return tab


def start_call(tab: BrowserTab) -> str:
    """Press Connect and wait for the call; return the session's name from the page."""
    tab.press_button("Connect")
    wait_until_live(tab, START)
    return until(tab.session, "the session's name on the page", BUSY)


def session_on_page(scenario: Scenario, tab: BrowserTab) -> Session:
    """Wait until the status of the page's session counts one human; return the session."""

    def check() -> Session | None:
        found = scenario.find_session(tab.session()) if tab.session() else None
        return found if found and found.status.get("humans") == 1 else None

    return until(check, "the session on the page counts one human", BUSY)


def gateway_participants(livekit: LiveKit, room: str) -> list[api.ParticipantInfo]:
    """Return the participants with a token of a gateway."""
    return [p for p in livekit.participants(room).values() if SESSION_ATTRIBUTE in p.attributes]
