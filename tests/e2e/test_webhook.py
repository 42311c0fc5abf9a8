"""The webhook receiver under everything that may arrive at it, while a call goes on."""

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
from tests.support.cluster.scenario import Trial

pytestmark = pytest.mark.cluster

PER_SECOND = 1000
SECONDS = 10
SLOWEST = 90
"""Seconds for the whole flood where sender and receiver share two busy cores; the rate reached is printed."""
GROWTH_BYTES = 32 * 1024 * 1024
TEN_MEGABYTES = 10 * 1024 * 1024
ROOM = "vs-000000000000"
PORT = 8080
"""Of the operator and of its webhook Service."""


@pytest.fixture
def receiver(kube: Kube) -> Iterator[str]:
    """The leader's webhook URL."""
    pod = operator_pods.leader(kube)["metadata"]["name"]
    with kube.forwarded(f"pod/{pod}", constants.NAMESPACE, PORT) as port:
        yield f"http://127.0.0.1:{port}{webhooks.PATH}"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_what_is_answered(receiver: str, trial: Trial) -> None:
    key = trial.livekit.key
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
    # Most of the huge body was never taken: its transport warns when it is collected, which shall not hit a later test.
    gc.collect()


@pytest.mark.disruptive
def test_a_flood_changes_nothing_for_a_live_call(trial: Trial) -> None:
    session, sender = trial.ready("call"), trial.ready("sender")
    trial.visit("call")
    sid, before = trial.agent_sid(session), operator_pods.metrics(trial.kube)

    # Half of them tell of a departure from the live room that did not happen: a hint, which the list of people refutes.
    told = _flood(trial, sender.pod, (ROOM, session.room))

    after, now = operator_pods.metrics(trial.kube), trial.session("call")
    print(f"{PER_SECOND * SECONDS} webhooks in {told['seconds']:.1f} s: {told['answers']}")
    assert set(told["answers"]) == {"200 unknown_room", "200 accepted"}
    assert sum(told["answers"].values()) == PER_SECOND * SECONDS
    assert told["seconds"] < SLOWEST
    assert after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"] < GROWTH_BYTES
    assert trial.agent_sid(session) == sid
    assert now.is_true("Ready")
    assert now.status["humans"] == 1
    assert now.condition("Ready") == session.condition("Ready")


def _flood(trial: Trial, pod: str, rooms: tuple[str, ...]) -> Json:
    """PER_SECOND signed webhooks a second for SECONDS, evenly spread over the rooms, from that pod."""
    bodies = [webhooks.event(rooms[number % len(rooms)]) for number in range(PER_SECOND * SECONDS)]
    order = {
        "url": f"http://{faults.WEBHOOK}.{constants.NAMESPACE}.svc:{PORT}{webhooks.PATH}",
        "perSecond": PER_SECOND,
        "requests": [(body.decode(), webhooks.headers(body, trial.livekit.key)) for body in bodies],
    }
    program = Path(request_flood.__file__).read_text()
    told = trial.kube.exec(
        pod, trial.namespace, "python", "-c", program, stdin=json.dumps(order), timeout=SLOWEST + SECONDS
    )
    found: Json = json.loads(told)
    return found


async def _post(client: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    async with client.post(url, data=io.BytesIO(body), headers=headers) as response:
        if response.content_type != "application/json":
            return response.status, ""
        return response.status, (await response.json())["outcome"]
