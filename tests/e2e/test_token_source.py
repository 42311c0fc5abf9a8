"""LiveKit's own client library, unmodified: in Node and on a page of another origin its token source gets a session."""

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
from tests.support.cluster.scenario import Trial
from tests.support.participants.browser import Screen, screen
from tests.support.participants.page_call import callers
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
"""What a front end of its own needs; told as tests/support/participants/browser.py looks for it."""


class Files(SimpleHTTPRequestHandler):
    """Static files, without a word on standard error for each."""

    def log_message(self, *_: object) -> None:
        pass


def test_the_token_source_of_livekits_library_gets_a_ready_session(trial: Trial, tmp_path: Path) -> None:
    trial.kube.apply(gateway.agent("joins", trial.namespace))
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path) as people:
        until(lambda: people.knows("joins"), "the gateway knows the agent", BUSY)
        first, again = (_fetch(f"{people.url}/token", "joins", "alice") for _ in range(2))
    (found,) = trial.kube.all("voicesessions", trial.namespace)
    session = trial.session(found["metadata"]["name"])
    assert session.is_true("Ready")
    for told in (first, again):
        claims = jwt.decode(told["participantToken"], options={"verify_signature": False})
        assert (claims["sub"], claims["video"]["room"]) == ("alice", session.room)
        assert told["serverUrl"] == session.status["room"]["url"]


def test_a_page_of_another_origin_that_is_allowed_is_in_the_call_with_its_agent(trial: Trial, tmp_path: Path) -> None:
    trial.kube.apply(gateway.agent("joins", trial.namespace))
    folder = tmp_path / "site"
    folder.mkdir()
    with (
        _served(folder) as origin,
        replica(trial.kube, trial.livekit, trial.namespace, tmp_path, CORS_ORIGINS=origin) as people,
    ):
        until(lambda: people.knows("joins"), "the gateway knows the agent", BUSY)
        shutil.copy(web_page.PAGE / "node_modules" / "livekit-client" / "dist" / LIBRARY, folder)
        (folder / "index.html").write_text(PAGE.replace("GATEWAY", people.url))
        with screen(origin, tmp_path / "no-microphone.wav") as shown:
            shown.open("joins")
            until(lambda: shown.status() != "loading", "the page has called", START)
            assert shown.status() == "connected"
            _in_the_call(trial, shown)


def _in_the_call(trial: Trial, shown: Screen) -> None:
    """The one session is Ready, its agent is the one on the page, and its human is the page's."""
    (found,) = trial.kube.all("voicesessions", trial.namespace)
    name = found["metadata"]["name"]
    session = trial.session(name)
    until(lambda: shown.agent() == session.identity, "the session's agent on the page", BUSY)
    assert session.is_true("Ready")
    (caller,) = until(lambda: callers(trial.livekit, session.room), "LiveKit has her in the room", BUSY)
    assert caller.identity.startswith("human-")
    until(lambda: trial.session(name).status.get("humans") == 1, "the session counts her", BUSY)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The folder's files at an origin of this machine."""
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
    told: dict[str, str] = json.loads(done.stdout)
    return told
