"""The token source of LiveKit's unmodified client library, in Node and on a page of another origin."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest

from hack.cluster import web_page
from tests.support.cluster import gateway
from tests.support.cluster.gateway import replica
from tests.support.cluster.scenario import Scenario
from tests.support.participants.browser import BrowserTab, open_tab
from tests.support.participants.page_call import gateway_participants
from tests.support.polling import until

pytestmark = pytest.mark.cluster

BUSY = 30
START = 200
SCRIPT = """
import { TokenSource } from 'livekit-client';
const [url, agentName, participantIdentity] = process.argv.slice(1);
const found = await TokenSource.endpoint(url).fetch({ agentName, participantIdentity });
console.log(JSON.stringify(found));
"""
LIBRARY = "livekit-client.esm.mjs"
PAGE = """<!doctype html><title>A page of somebody else</title>
<h1 id="agent-name"></h1><p id="status">loading</p>
<script type="module">
import { Room, RoomEvent, TokenSource } from './livekit-client.esm.mjs';
const show = (id, text) => { document.getElementById(id).textContent = text; };
const room = new Room();
const look = () => {
  const agent = [...room.remoteParticipants.values()].find((participant) => participant.isAgent);
  show('agent-name', agent ? agent.identity : '');
};
try {
  const agentName = new URLSearchParams(location.search).get('agent');
  const { serverUrl, participantToken } = await TokenSource.endpoint('GATEWAY/token').fetch({ agentName });
  room.on(RoomEvent.ParticipantConnected, look);
  await room.connect(serverUrl, participantToken);
  look();
  show('status', 'connected');
} catch (error) {
  show('status', `failed: ${error}`);
}
</script>
"""
"""A minimal front end with the elements that tests/support/participants/browser.py reads."""


class Files(SimpleHTTPRequestHandler):
    """Serves static files without a log."""

    def log_message(self, *_: object) -> None:
        pass


def test_livekit_token_source_gets_ready_session(scenario: Scenario, tmp_path: Path) -> None:
    scenario.kube.apply(gateway.agent("joins", scenario.namespace))
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path) as client:
        until(lambda: client.lists_agent("joins"), "the gateway lists the agent", BUSY)
        first, again = (_fetch(f"{client.url}/token", "joins", "alice") for _ in range(2))
    (found,) = scenario.kube.all("voicesessions", scenario.namespace)
    session = scenario.session(found["metadata"]["name"])
    assert session.is_true("Ready")
    for token in (first, again):
        claims = jwt.decode(token["participantToken"], options={"verify_signature": False})
        assert (claims["sub"], claims["video"]["room"]) == ("alice", session.room)
        assert token["serverUrl"] == session.status["room"]["url"]


def test_page_of_allowed_origin_joins_call_with_agent(scenario: Scenario, tmp_path: Path) -> None:
    scenario.kube.apply(gateway.agent("joins", scenario.namespace))
    folder = tmp_path / "site"
    folder.mkdir()
    with (
        _http_server(folder) as origin,
        replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path, CORS_ORIGINS=origin) as client,
    ):
        until(lambda: client.lists_agent("joins"), "the gateway lists the agent", BUSY)
        shutil.copy(web_page.PAGE / "node_modules" / "livekit-client" / "dist" / LIBRARY, folder)
        (folder / "index.html").write_text(PAGE.replace("GATEWAY", client.url))
        with open_tab(origin, tmp_path / "no-microphone.wav") as tab:
            tab.open("joins")
            until(lambda: tab.status() != "loading", "the page has called", START)
            assert tab.status() == "connected"
            _check_call(scenario, tab)


def _check_call(scenario: Scenario, tab: BrowserTab) -> None:
    """Check that the only session is Ready with the page's agent and the page's human."""
    (found,) = scenario.kube.all("voicesessions", scenario.namespace)
    name = found["metadata"]["name"]
    session = scenario.session(name)
    until(lambda: tab.agent() == session.identity, "the session's agent on the page", BUSY)
    assert session.is_true("Ready")
    (caller,) = until(lambda: gateway_participants(scenario.livekit, session.room), "the human in LiveKit's room", BUSY)
    assert caller.identity.startswith("human-")
    until(lambda: scenario.session(name).status.get("humans") == 1, "the session counts the human", BUSY)


@contextmanager
def _http_server(folder: Path) -> Iterator[str]:
    """Serve the folder's files; yield the origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _fetch(*arguments: str) -> dict[str, str]:
    command = [str(web_page.node()), "--input-type=module", "-e", SCRIPT, *arguments]
    done = subprocess.run(command, cwd=web_page.PAGE, capture_output=True, text=True, timeout=START, check=False)
    assert done.returncode == 0, done.stderr
    token: dict[str, str] = json.loads(done.stdout)
    return token
