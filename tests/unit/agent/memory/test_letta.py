"""Letta's REST API: requests, and the classification of responses."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from voicesession_agent.memory.backend import (
    Block,
    GuardedBackend,
    MemoryAddress,
    RejectedError,
    Remark,
    Turn,
    UnavailableError,
    UncertainError,
    UnexpectedError,
    WriteConflictError,
    digest,
)
from voicesession_agent.memory.letta import LettaBackend

CONNECT_SECONDS = 30.0
MALFORMED = (
    b'{"blocks": [{"label": "human", "value": null}]}',
    b'{"blocks": [{"label": 1, "value": "v"}]}',
    b'{"blocks": [{"label": "human", "value": "v", "limit": "many"}]}',
    pytest.param(b'{"blocks": ' + b"[" * 200_000, id="nested deep"),
)


class FakeLettaServer:
    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str | None, Any]] = []
        self.status = 200
        self.hangs = False
        self.parts = 1
        self.body = b'{"blocks": [{"label": "human", "value": "v", "description": null, "limit": 5000}]}'

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, request.headers.get("Authorization"), body))
        if self.hangs:
            await asyncio.sleep(60)
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        size = -(-len(self.body) // self.parts)
        for start in range(0, len(self.body), size):
            await response.write(self.body[start : start + size])
            await asyncio.sleep(0.01)  # the client reads this part before the next one
        return response


@pytest.fixture
async def letta() -> AsyncIterator[tuple[FakeLettaServer, str]]:
    server = FakeLettaServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def connect(session: aiohttp.ClientSession, address: MemoryAddress, **limits: Any) -> LettaBackend:
    return LettaBackend(address, session, connect_seconds=CONNECT_SECONDS, **limits)


def found(*remarks: dict[str, Any]) -> bytes:
    """Return Letta's answer to a search."""
    answer = {"status": "success", "func_return": {"message": "Showing results:", "results": remarks}}
    return json.dumps(answer).encode()


async def test_read_only_block_is_marked(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    server.body = b'{"blocks": [{"label": "human", "value": "v", "read_only": true}]}'
    async with aiohttp.ClientSession() as session:
        assert await connect(session, MemoryAddress(url, "agent-1")).load_blocks() == (
            Block("human", "v", read_only=True),
        )


async def test_search_runs_tool_of_agent_and_returns_remarks(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    said = {"timestamp": "2026-11-01T10:00:00+00:00", "time_ago": "26d ago", "role": "user", "content": "I like blue."}
    server.body = found(
        said, said | {"role": "assistant", "content": "Fine."}, said | {"content": 42}, said | {"role": "system"}
    )
    async with aiohttp.ClientSession() as session:
        remarks = await connect(session, MemoryAddress(url, "agent-1")).search("blue")
    at = "2026-11-01T10:00:00+00:00"
    assert remarks == (Remark(at, "user", "I like blue."), Remark(at, "assistant", "Fine."))
    method, path, _, body = server.requests[0]
    assert (method, path) == ("POST", "/v1/agents/agent-1/tools/conversation_search/run")
    assert body == {"args": {"query": "blue", "roles": ["user", "assistant"], "limit": 20}}


async def test_search_without_matches_is_empty(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    server.body = b'{"status": "success", "func_return": {"message": "No results found.", "results": []}}'
    async with aiohttp.ClientSession() as session:
        assert await connect(session, MemoryAddress(url, "agent-1")).search("blue") == ()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"status": "error", "func_return": null}',
        b'{"func_return": "cut off"}',
        found({"role": "user", "content": "x"}),
    ],
)
async def test_search_with_invalid_body_is_rejected(letta: tuple[FakeLettaServer, str], body: bytes) -> None:
    server, url = letta
    server.body = body
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RejectedError, match="no remarks"):
            await connect(session, MemoryAddress(url, "agent-1")).search("blue")


async def test_load_returns_blocks(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    async with aiohttp.ClientSession() as session:
        blocks = await connect(session, MemoryAddress(url + "/", "agent-1", "key")).load_blocks()
    assert blocks == (Block("human", "v", limit=5000),)
    assert server.requests == [("GET", "/v1/agents/agent-1?include=agent.blocks", "Bearer key", None)]


async def test_body_in_several_parts_is_read_completely(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    server.parts = 3
    async with aiohttp.ClientSession() as session:
        memory = connect(session, MemoryAddress(url, "agent-1"))
        assert await memory.load_blocks() == (Block("human", "v", limit=5000),)
        await memory.capture(Turn("hello", "hi"))


async def test_too_long_body_is_uncertain(letta: tuple[FakeLettaServer, str]) -> None:
    _, url = letta
    async with aiohttp.ClientSession() as session:
        memory = connect(session, MemoryAddress(url, "agent-1"), max_answer_bytes=10)
        with pytest.raises(UncertainError, match="too long"):
            await memory.load_blocks()


@pytest.mark.parametrize("body", [b"<html>", b"null", b"[]", b'{"blocks": [{}]}', *MALFORMED])
async def test_invalid_body_is_rejected_for_load_and_accepted_for_capture(
    letta: tuple[FakeLettaServer, str], body: bytes
) -> None:
    server, url = letta
    server.body = body
    async with aiohttp.ClientSession() as session:
        memory = connect(session, MemoryAddress(url, "agent-1"))
        with pytest.raises(RejectedError):
            await memory.load_blocks()
        await memory.capture(Turn("hello", "hi"))


async def test_malformed_key_is_an_unexpected_error(letta: tuple[FakeLettaServer, str]) -> None:
    _, url = letta
    async with aiohttp.ClientSession() as session:
        memory = GuardedBackend(lambda: connect(session, MemoryAddress(url, "agent-1", "se\ncret")))
        with pytest.raises(UnexpectedError, match=r"^memory failed: ValueError$"):
            await memory.load_blocks()
        with pytest.raises(UnexpectedError):
            await memory.capture(Turn("hello", "hi"))
        with pytest.raises(UnexpectedError):
            await memory.write("human", "v")
        with pytest.raises(UnexpectedError):
            await memory.search("blue")


async def test_lone_surrogate_is_replaced(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    server.body = b'{"blocks": [{"label": "human", "value": "v\\ud800"}]}'
    async with aiohttp.ClientSession() as session:
        blocks = await connect(session, MemoryAddress(url, "agent-1")).load_blocks()
    assert blocks == (Block("human", "v?"),)


async def test_capture_posts_turn(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    async with aiohttp.ClientSession() as session:
        await connect(session, MemoryAddress(url, "agent-1")).capture(Turn("hello", "hi"))
    method, path, key, body = server.requests[0]
    assert (method, path, key) == ("POST", "/v1/agents/agent-1/messages/capture", None)
    assert body["request_messages"] == [{"role": "user", "content": "hello"}]
    assert body["response_dict"] == {"content": "hi"}


async def test_write_patches_block(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    async with aiohttp.ClientSession() as session:
        await connect(session, MemoryAddress(url, "agent-1")).write("human", "likes blue")
    assert server.requests == [("PATCH", "/v1/agents/agent-1/core-memory/blocks/human", None, {"value": "likes blue"})]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, UncertainError),
        (502, UncertainError),
        (503, UnavailableError),
        (429, UnavailableError),
        (409, WriteConflictError),
        (401, UnavailableError),
        (403, UnavailableError),
        (404, UnavailableError),
        (408, UnavailableError),
        (400, RejectedError),
        (413, RejectedError),
        (422, RejectedError),
    ],
)
async def test_error_status_maps_to_error_class(
    letta: tuple[FakeLettaServer, str], status: int, error: type[Exception]
) -> None:
    server, url = letta
    server.status = status
    async with aiohttp.ClientSession() as session:
        with pytest.raises(error, match=str(status)):
            await connect(session, MemoryAddress(url, "agent-1")).capture(Turn("hello", "hi"))


async def test_missing_response_is_uncertain(letta: tuple[FakeLettaServer, str]) -> None:
    server, url = letta
    server.hangs = True
    async with aiohttp.ClientSession() as session:
        memory = connect(session, MemoryAddress(url, "agent-1"), call_seconds=0.05)
        with pytest.raises(UncertainError):
            await memory.capture(Turn("hello", "hi"))


async def test_refused_connection_is_unavailable() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UnavailableError):
            await connect(session, MemoryAddress("http://127.0.0.1:1", "agent-1")).load_blocks()


def test_digest_changes_with_label_value_or_description() -> None:
    blocks = (Block("a", "b", "c"),)
    assert digest(blocks) == digest((Block("a", "b", "c"),))
    assert len({digest(blocks), digest((Block("a", "x", "c"),)), digest((Block("a", "b"),)), digest(())}) == 4
