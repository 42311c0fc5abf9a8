"""Somebody comes to the page of a gateway: it is opened, the call begins, the session counts her."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livekit import api

from hack.cluster import web_page
from tests.support.cluster.gateway import Replica, replica
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.participants.browser import Screen, live
from tests.support.polling import until

LOAD, BUSY, START = 20, 30, 150
"""Seconds: a page, what other tests may add, an agent that starts."""
CALL = "voicesession.session"


@contextmanager
def door(trial: Trial, folder: Path, agent: Json, **settings: str) -> Iterator[Replica]:
    """A gateway of this test's own namespace, with the page and with this agent as its first choice."""
    trial.kube.apply(agent)
    name = agent["metadata"]["name"]
    trial.kube.wait(f"voiceagent/{name}", "condition=Ready", trial.namespace, START)
    told = {"PAGE_DIR": str(web_page.DIST), "DEFAULT_AGENT": name, **settings}
    with replica(trial.kube, trial.livekit, trial.namespace, folder, **told) as made:
        if "AUTH_MODE" not in settings:
            until(lambda: made.knows(name), "the gateway knows the agent", BUSY)
        yield made


def opened(shown: Screen, agent: str = "") -> Screen:
    shown.open(agent)
    until(lambda: shown.agent() != "Agent" or shown.problem(), "the page has agents, or a problem", LOAD)
    return shown


def connected(shown: Screen) -> str:
    """Press Connect, wait for the call; returns the session's name as the page shows it."""
    shown.press("Connect")
    live(shown, START)
    return until(shown.session, "the session's name on the page", BUSY)


def met(trial: Trial, shown: Screen) -> Session:
    """The session on the page, once its status counts one human."""

    def check() -> Session | None:
        found = trial.find(shown.session()) if shown.session() else None
        return found if found and found.status.get("humans") == 1 else None

    return until(check, "the session on the page counts one human", BUSY)


def callers(livekit: LiveKit, room: str) -> list[api.ParticipantInfo]:
    """Those in the room who came through a gateway."""
    return [p for p in livekit.participants(room).values() if CALL in p.attributes]
