"""The webhook receiver: answers to valid and invalid requests, and a flood during a call."""

import gc
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from hack.cluster import constants
from tests.support.cluster import faults, operator_pods, request_flood, webhooks
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.rooms import Key
from tests.support.cluster.scenario import Scenario

pytestmark = pytest.mark.cluster

PER_SECOND = 1000
SECONDS = 10
SLOWEST = 90
"""Deadline in seconds if sender and receiver share two busy cores; the reached rate is printed."""
GROWTH_BYTES = 32 * 1024 * 1024
TEN_MEGABYTES = 10 * 1024 * 1024
ROOM = "vs-000000000000"
PORT = 8080
"""The port of the operator and of its webhook Service."""


@pytest.fixture
def receiver(kube: Kube) -> Iterator[str]:
    """Return the leader's webhook URL."""
    pod = operator_pods.leader(kube)["metadata"]["name"]
    with kube.forwarded(f"pod/{pod}", constants.NAMESPACE, PORT) as port:
        yield f"http://127.0.0.1:{port}{webhooks.PATH}"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_webhook_answers_match_signature_age_and_size(receiver: str, scenario: Scenario) -> None:
    key = scenario.livekit.key
    good = webhooks.event(ROOM)
    stale = webhooks.event(ROOM, at=time.time() - 3600)
    forged = Key(key.key, "0" * 32)
    huge = b" " * TEN_MEGABYTES
    async with aiohttp.ClientSession() as client:
        assert await _post(client, receiver, good, webhooks.headers(good, key)) == (200, "unknown_room")
        assert await _post(client, receiver, good, webhooks.headers(good, key)) == (200, "duplicate")
        assert await _post(client, receiver, good, webhooks.headers(good, forged)) == (401, "refused")
        assert await _post(client, receiver, good, webhooks.headers(stale, key)) == (401, "refused")
        assert await _post(client, receiver, stale, webhooks.headers(stale, key)) == (401, "refused")
        assert await _post(client, receiver, good, {}) == (401, "refused")
        assert (await _post(client, receiver, huge, webhooks.headers(huge, key)))[0] == 413
    # The transport of the unread body warns when it is collected; collect it in this test.
    gc.collect()


@pytest.mark.disruptive
def test_webhook_flood_does_not_affect_live_call(scenario: Scenario) -> None:
    session, sender = scenario.start_session("call"), scenario.start_session("sender")
    scenario.join_human("call")
    sid, before = scenario.agent_sid(session), operator_pods.metrics(scenario.kube)

    # Half of them report a human that left the live room; the list of participants refutes it.
    result = _flood(scenario, sender.pod, (ROOM, session.room))

    after, now = operator_pods.metrics(scenario.kube), scenario.session("call")
    print(f"{PER_SECOND * SECONDS} webhooks in {result['seconds']:.1f} s: {result['answers']}")
    assert set(result["answers"]) == {"200 unknown_room", "200 accepted"}
    assert sum(result["answers"].values()) == PER_SECOND * SECONDS
    assert result["seconds"] < SLOWEST
    assert after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"] < GROWTH_BYTES
    assert scenario.agent_sid(session) == sid
    assert now.is_true("Ready")
    assert now.status["humans"] == 1
    assert now.condition("Ready") == session.condition("Ready")


def _flood(scenario: Scenario, pod: str, rooms: tuple[str, ...]) -> Json:
    """Send signed webhooks about the rooms from the pod, PER_SECOND a second for SECONDS."""
    bodies = [webhooks.event(rooms[number % len(rooms)]) for number in range(PER_SECOND * SECONDS)]
    order = {
        "url": f"http://{faults.WEBHOOK}.{constants.NAMESPACE}.svc:{PORT}{webhooks.PATH}",
        "perSecond": PER_SECOND,
        "requests": [(body.decode(), webhooks.headers(body, scenario.livekit.key)) for body in bodies],
    }
    program = Path(request_flood.__file__).read_text()
    output = scenario.kube.exec(
        pod, scenario.namespace, "python", "-c", program, stdin=json.dumps(order), timeout=SLOWEST + SECONDS
    )
    found: Json = json.loads(output)
    return found


async def _post(client: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    async with client.post(url, data=io.BytesIO(body), headers=headers) as response:
        if response.content_type != "application/json":
            return response.status, ""
        return response.status, (await response.json())["outcome"]
