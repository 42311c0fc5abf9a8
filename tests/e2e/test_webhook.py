"""The webhook receiver under everything that may arrive at it, while a call goes on."""

import asyncio
import gc
import io
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from hack.cluster import names
from tests.e2e import operators, webhooks
from tests.e2e.kubectl import Kube
from tests.e2e.rooms import Key
from tests.e2e.trial import Trial

pytestmark = pytest.mark.cluster

PER_SECOND = 1000
SECONDS = 10
CONNECTIONS = 16
SLOWEST = 120
"""Seconds for the whole flood where sender, tunnel and receiver share two busy cores; the rate reached is printed."""
GROWTH_BYTES = 32 * 1024 * 1024
TEN_MEGABYTES = 10 * 1024 * 1024
ROOM = "vs-000000000000"


@pytest.fixture
def receiver(kube: Kube) -> Iterator[str]:
    """The leader's webhook URL."""
    pod = operators.leader(kube)["metadata"]["name"]
    with kube.forwarded(f"pod/{pod}", names.NAMESPACE, 8080) as port:
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
async def test_a_flood_changes_nothing_for_a_live_call(receiver: str, trial: Trial) -> None:
    session = await asyncio.to_thread(trial.ready, "call")
    await asyncio.to_thread(trial.visit, "call")
    sid = await asyncio.to_thread(trial.agent_sid, session)
    before = await asyncio.to_thread(operators.metrics, trial.kube)

    began = time.monotonic()
    # Half of them tell of a departure from the live room that did not happen: a hint, which the list of people refutes.
    answers = await _flood(receiver, trial.livekit.key, (ROOM, session.room))
    took = time.monotonic() - began

    after = await asyncio.to_thread(operators.metrics, trial.kube)
    print(f"{sum(answers.values())} webhooks in {took:.1f} s: {dict(answers)}")
    assert set(answers) == {(200, "unknown_room"), (200, "accepted")}
    assert sum(answers.values()) == PER_SECOND * SECONDS
    assert took < SLOWEST
    assert after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"] < GROWTH_BYTES
    now = await asyncio.to_thread(trial.session, "call")
    assert await asyncio.to_thread(trial.agent_sid, session) == sid
    assert now.is_true("Ready")
    assert now.status["humans"] == 1
    assert now.condition("Ready") == session.condition("Ready")


async def _flood(url: str, key: Key, rooms: tuple[str, ...]) -> Counter[tuple[int, str]]:
    """PER_SECOND signed webhooks a second for SECONDS, evenly spread over the rooms; counts the answers."""
    bodies = [webhooks.event(rooms[number % len(rooms)]) for number in range(PER_SECOND * SECONDS)]
    signed = [(body, webhooks.headers(body, key)) for body in bodies]
    answers: Counter[tuple[int, str]] = Counter()
    begin = time.monotonic()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def sender(first: int) -> None:
            for number in range(first, len(signed), CONNECTIONS):
                early = begin + number / PER_SECOND - time.monotonic()
                if early > 0:
                    await asyncio.sleep(early)
                answers[await _post(client, url, *signed[number])] += 1

        await asyncio.gather(*(sender(first) for first in range(CONNECTIONS)))
    return answers


async def _post(client: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    async with client.post(url, data=io.BytesIO(body), headers=headers) as response:
        if response.content_type != "application/json":
            return response.status, ""
        return response.status, (await response.json())["outcome"]
