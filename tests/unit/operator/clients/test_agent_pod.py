"""The client of agent pods against a local HTTP server: signed requests, refusals, parsing of states."""

import asyncio
import gzip
import hashlib
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from voicesession_common.errors import ExternalError, RetryableError, TerminalError
from voicesession_operator.clients.agent_pod import ANSWER_BYTES, AgentPodClient, to_pod_state
from voicesession_operator.domain.observed import AgentPodState, Timings

from tests.support.http_server import Handler, serving

NOW = 1_763_853_600.0
KEY = Ed25519PrivateKey.generate()
HOST = "127.0.0.1"
BOUND = {"podUID": "pod-uid", "state": "Bound"}
REQUEST_SECONDS = 30.0
FIELDS = ("job", "memory", "lastHumanLeft", "health", "timings", "state", "epoch")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@asynccontextmanager
async def pod_client(handler: Handler) -> AsyncIterator[AgentPodClient]:
    async with serving(handler) as server:
        assert server.port is not None
        client = AgentPodClient(KEY, lambda: NOW, port=server.port, request_seconds=REQUEST_SECONDS)
        try:
            yield client
        finally:
            await client.close()


async def test_requests_carry_a_token_with_method_and_body_hash() -> None:
    bodies: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        body, token = await request.read(), request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(
            token, KEY.public_key(), algorithms=["EdDSA"], audience="pod-uid", options={"verify_exp": False}
        )
        assert claims["sha256"] == hashlib.sha256(body).hexdigest()
        assert claims["htm"] == request.method
        assert claims["exp"] - claims["iat"] == 30
        bodies.append(json.loads(body) if body else {})
        return web.json_response({"podUID": "pod-uid", "state": "Bound", "sessionUID": "s", "epoch": 2})

    async with pod_client(answer) as client:
        await client.put_state(HOST, "pod-uid", {"epoch": 2})
        state = await client.state(HOST, "pod-uid")
        second = await client.state(HOST, "pod-uid")
    assert bodies == [{"epoch": 2}, {}, {}]
    assert state == second
    assert state is not None
    assert (state.state, state.session_uid, state.epoch) == ("Bound", "s", 2)


@pytest.mark.parametrize(("status", "kind"), [(400, TerminalError), (401, RetryableError), (409, RetryableError)])
async def test_refused_desired_state_raises_error_with_reason(status: int, kind: type[ExternalError]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"reason": "because"}, status=status)

    async with pod_client(answer) as client:
        with pytest.raises(kind, match="because"):
            await client.put_state(HOST, "pod-uid", {})
        assert await client.state(HOST, "pod-uid") is None


async def test_state_of_another_pod_at_the_address_is_ignored() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"podUID": "another", "state": "Unbound"})

    async with pod_client(answer) as client:
        assert await client.state(HOST, "pod-uid") is None


def test_to_pod_state_parses_a_bound_pod() -> None:
    state = to_pod_state(
        {
            "state": "Bound",
            "sessionUID": "s",
            "epoch": 1,
            "job": {"state": "Joined", "participantSID": "PA_1", "restarts": 2, "epoch": 3},
            "endedEpoch": 3,
            "activeAt": 7.5,
            "health": {"state": "Deaf", "message": "no turn in 60 s of speech", "remedies": 1},
            "lastHumanLeft": {"identity": "alice", "reason": "CLIENT_INITIATED", "at": 5.5},
            "memory": {"agentID": "agent-1", "state": "Unavailable", "message": "Letta does not answer"},
            "trouble": "",
        }
    )
    assert (state.participant_sid, state.job_restarts, state.job_epoch) == ("PA_1", 2, 3)
    assert state.ended_epoch == 3
    assert (state.active_at, state.health, state.health_message) == (7.5, "Deaf", "no turn in 60 s of speech")
    assert (state.left_identity, state.left_reason, state.left_at) == ("alice", "CLIENT_INITIATED", 5.5)
    assert state.memory_problem == "Letta does not answer"


def test_to_pod_state_parses_an_unbound_pod() -> None:
    state = to_pod_state({"state": "Unbound", "lastHumanLeft": None, "memory": None, "activeAt": None, "health": None})
    assert (state.left_identity, state.active_at, state.health, state.job_epoch) == ("", None, "", 0)


async def test_answer_longer_than_the_limit_is_ignored() -> None:
    length = 0

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(BOUND | {"trouble": "x" * length})

    async with pod_client(answer) as client:
        assert await client.state(HOST, "pod-uid") is not None
        length = ANSWER_BYTES
        assert await client.state(HOST, "pod-uid") is None
        with pytest.raises(RetryableError):
            await client.wait_for_change(HOST, "pod-uid", "")


async def test_state_of_a_crowded_room_is_read() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(BOUND | {"humans": [f"{number:0256}" for number in range(900)]})

    async with pod_client(answer) as client:
        assert await client.state(HOST, "pod-uid") is not None


async def test_compressed_answer_is_ignored() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(json.dumps(BOUND).encode()), headers={"Content-Encoding": "gzip"})

    async with pod_client(answer) as client:
        assert await client.state(HOST, "pod-uid") is None


@pytest.mark.parametrize("body", [b"[" * 50_000, b"\xff", b"[]", b"<html>", b'{"podUID": ' + b"9" * 5000 + b"}"])
async def test_answer_without_a_state_is_ignored(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with pod_client(answer) as client:
        assert await client.state(HOST, "pod-uid") is None


async def test_redirect_is_not_followed() -> None:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.json_response(BOUND, status=307, headers={"Location": "/elsewhere", "ETag": "a"})

    async with pod_client(answer) as client:
        assert await client.state(HOST, "pod-uid") is None
        for request in (client.put_state(HOST, "pod-uid", {}), client.wait_for_change(HOST, "pod-uid", "")):
            with pytest.raises(RetryableError):
                await request
    assert paths == ["/v1/state"] * 3


@pytest.mark.parametrize("tag", ["a\x01b", "t" * 200, "ä", ""])
async def test_unusable_entity_tag_raises_terminal_error(tag: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    client = AgentPodClient(KEY, lambda: NOW, port=server.sockets[0].getsockname()[1], request_seconds=REQUEST_SECONDS)
    with pytest.raises(TerminalError):
        await client.wait_for_change(HOST, "pod-uid", "")
    await client.close()
    server.close()


async def test_entity_tag_with_control_characters_raises_retryable_error() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(BOUND)

    async with pod_client(answer) as client:
        with pytest.raises(RetryableError):
            await client.wait_for_change(HOST, "pod-uid", "a\x01b")


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, -1.0, 1e300, 10**400, "1", True, [], {}])
def test_to_pod_state_ignores_impossible_times_and_counts(wrong: object) -> None:
    moments = dict.fromkeys(("processStarted", "prepared", "bound", "joined"), wrong)
    state = to_pod_state(
        {"activeAt": wrong, "lastHumanLeft": {"at": wrong}, "timings": moments, "epoch": wrong, "job": {"epoch": wrong}}
    )
    assert (state.active_at, state.left_at, state.epoch, state.job_epoch) == (None, 0.0, 0, 0)
    assert state.timings == Timings()


def test_to_pod_state_shortens_texts() -> None:
    assert len(to_pod_state({"trouble": "x" * 40_000}).problem) == 1024
    to_pod_state({"trouble": "\ud800"}).problem.encode()


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_to_pod_state_accepts_any_json(answer: dict[str, Any]) -> None:
    assert isinstance(to_pod_state(answer), AgentPodState)
