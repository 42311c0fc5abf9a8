"""The control port over real HTTP."""

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from voicesession_agent.metrics import Metrics
from voicesession_agent.supervisor.control_auth import Verifier
from voicesession_agent.supervisor.control_server import (
    MAX_BODY_BYTES,
    MAX_WAIT_SECONDS,
    READ_SECONDS,
    ControlServer,
    StateChanges,
    _wait_seconds,
    start_runner,
)
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.pod_state import PodState

DEADLINE = 30.0
KEY = Ed25519PrivateKey.generate()
BODY = {"sessionUID": "u1", "epoch": 0, "room": {"name": "vs-1", "url": "ws://x"}, "token": "t"}


class Port:
    def __init__(self, url: str, http: aiohttp.ClientSession, state: PodState, metrics: Metrics) -> None:
        self.url, self.http, self.state, self.metrics = url, http, state, metrics

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.http.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def put(self, body: bytes, signed: bytes | None = None) -> tuple[int, Any]:
        headers = {"Authorization": bearer("PUT", body if signed is None else signed)}
        async with self.http.put(self.url + "/v1/state", data=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.text())


def bearer(method: str, body: bytes = b"") -> str:
    now = int(time.time())
    claims = {"aud": "pod-1", "iat": now, "exp": now + 30, "jti": uuid.uuid4().hex, "htm": method}
    return "Bearer " + jwt.encode(claims | {"sha256": hashlib.sha256(body).hexdigest()}, KEY, algorithm="EdDSA")


@pytest.fixture
def read_seconds() -> float:
    """Return the time limit of a body; a test replaces it with a parameter of this name."""
    return READ_SECONDS


@pytest.fixture
async def port(read_seconds: float) -> AsyncIterator[Port]:
    state = PodState("pod-1", process_started=1.0)

    async def set_desired_state(desired: DesiredState) -> None:
        state.set_desired_state(desired, 2.0, 2.0)

    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    metrics = Metrics()
    changes = StateChanges(state)
    server = ControlServer(state, Verifier(raw, "pod-1"), metrics, set_desired_state, changes, read_seconds)
    runner = await start_runner(server.app(), 0.5)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http:
        yield Port(f"http://127.0.0.1:{runner.addresses[0][1]}", http, state, metrics)
    await runner.cleanup()


async def test_probes_without_token_respond(port: Port) -> None:
    assert (await port.get("/healthz"))[0] == 200
    assert (await port.get("/readyz"))[0] == 503
    port.state.prepared(2.0)
    assert (await port.get("/readyz"))[0] == 200


async def test_put_and_get_state_round_trip(port: Port) -> None:
    status, answer = await port.put(json.dumps(BODY).encode())
    assert (status, answer["sessionUID"], answer["state"]) == (200, "u1", "Preparing")
    status, text = await port.get("/v1/state", Authorization=bearer("GET"))
    assert (status, json.loads(text)["sessionUID"]) == (200, "u1")


async def test_refused_requests_return_401_and_are_counted(port: Port) -> None:
    assert await port.get("/v1/state") == (401, '{"reason": "missing"}')
    assert await port.put(b"{}", signed=b"other") == (401, {"reason": "body"})
    token = bearer("GET")
    assert (await port.get("/v1/state", Authorization=token))[0] == 200
    assert await port.get("/v1/state", Authorization=token) == (401, '{"reason": "replayed"}')
    metrics = port.metrics.render().decode()
    for reason in ("missing", "body", "replayed"):
        assert f'voicesession_control_refused_total{{reason="{reason}"}} 1.0' in metrics


async def test_put_of_malformed_body_or_other_session_is_rejected(port: Port) -> None:
    assert (await port.put(b"{}"))[0] == 400
    assert (await port.put(json.dumps(BODY).encode()))[0] == 200
    assert await port.put(json.dumps(BODY | {"sessionUID": "u2"}).encode()) == (
        409,
        {"reason": "bound to another session"},
    )


async def test_conditional_get_waits_for_change(port: Port) -> None:
    async with port.http.get(port.url + "/v1/state", headers={"Authorization": bearer("GET")}) as answer:
        tag = answer.headers["ETag"]
    known = {"If-None-Match": tag}
    assert await port.get("/v1/state", Authorization=bearer("GET"), **known) == (304, "")
    waiting = asyncio.create_task(port.get("/v1/state", Authorization=bearer("GET"), Prefer="wait=50", **known))
    assert (await port.put(json.dumps(BODY).encode()))[0] == 200
    status, text = await asyncio.wait_for(waiting, DEADLINE)
    assert (status, json.loads(text)["sessionUID"]) == (200, "u1")


async def test_unsigned_conditional_get_returns_at_once(port: Port) -> None:
    assert (await port.get("/v1/state", Prefer="wait=50"))[0] == 401


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=25", 25),
        ("respond-async, wait=10", 10),
        ("wait=9999", MAX_WAIT_SECONDS),
        ("await=3", 0),
        ("wait=-1", 0),
        ("wait=soon", 0),
        ("", 0),
    ],
)
def test_prefer_header_sets_bounded_wait(prefer: str, seconds: float) -> None:
    assert _wait_seconds(prefer) == seconds


async def test_too_large_body_returns_413(port: Port) -> None:
    async with port.http.put(port.url + "/v1/state", data=b"x" * (MAX_BODY_BYTES + 1)) as answer:
        assert answer.status == 413


async def unfinished_body() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


@pytest.mark.parametrize("read_seconds", [0.05])
async def test_unfinished_body_is_refused_after_the_read_deadline(port: Port) -> None:
    headers = {"Authorization": bearer("PUT", b"{}")}
    async with (
        asyncio.timeout(DEADLINE),
        port.http.put(port.url + "/v1/state", data=unfinished_body(), headers=headers) as answer,
    ):
        assert (answer.status, await answer.json()) == (408, {"reason": "too slow"})
    assert (await port.get("/healthz"))[0] == 200


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: pod"])
async def test_connection_without_complete_request_is_closed(sent: bytes) -> None:
    runner = await start_runner(web.Application(), 0.5, idle_seconds=0.05)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(sent)
    async with asyncio.timeout(DEADLINE):
        assert await reader.read() == b""
    writer.close()
    await runner.cleanup()
