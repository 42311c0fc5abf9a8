"""LiveKit's own client library outside of a browser: its token source, unmodified, leads to a session that is Ready."""

import json
import subprocess
from pathlib import Path

import jwt
import pytest

from hack.cluster import page
from tests.e2e import gateway
from tests.e2e.gateway import replica
from tests.e2e.trial import Trial
from tests.e2e.waiting import until

pytestmark = pytest.mark.cluster

BUSY = 30
START = 200
SCRIPT = """
import { TokenSource } from 'livekit-client';
const [url, agentName, participantIdentity] = process.argv.slice(1);
const found = await TokenSource.endpoint(url).fetch({ agentName, participantIdentity });
console.log(JSON.stringify(found));
"""


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


def _fetch(*arguments: str) -> dict[str, str]:
    command = [str(page.node()), "--input-type=module", "-e", SCRIPT, *arguments]
    done = subprocess.run(command, cwd=page.PAGE, capture_output=True, text=True, timeout=START, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told
