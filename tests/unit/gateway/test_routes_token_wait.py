"""Waiting requests of POST /token: ends, deadlines, disconnects, and outages of the watch."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from voicesession_gateway.app import GatewayTimings
from voicesession_gateway.metrics import REGISTRY

from tests.support import gateway_objects
from tests.support.fakes.api_server import FakeApiServer, problem
from tests.support.gateway_client import Client, FakeOperator, call_api, request_token, until, wait_for_sessions
from tests.unit.gateway.conftest import Start

INFORMERS = 2
"""Watches that a gateway opens: of VoiceAgents and of VoiceSessions."""

ALICE = {"participant_identity": "alice", "room_config": {"agents": [{"agent_name": "agent-66"}]}}


async def test_token_session_ending_during_wait_is_followed_by_next(api: FakeApiServer, start: Start) -> None:
    client = await start()
    first = asyncio.create_task(request_token(client, ALICE))
    (name,) = await wait_for_sessions(api)
    await api.status(name, gateway_objects.starting())
    second = asyncio.create_task(request_token(client, ALICE))
    assert not (await asyncio.wait({first, second}, timeout=0.05))[0]
    await api.status(name, gateway_objects.finished("Requested", "It was asked to end"))
    async with FakeOperator(api):
        answers = await asyncio.gather(first, second)
    assert answers[0].code == "Requested"
    assert (answers[1].status, answers[1].headers["Voicesession-Name"]) == (201, f"{name}-2")


@pytest.mark.parametrize(
    ("end", "status", "code", "message"),
    [
        (
            gateway_objects.finished("StartDeadline", "No agent"),
            504,
            "StartDeadline",
            "No agent (PodNotRunning: no image)",
        ),
        (gateway_objects.finished("AgentLost", "Lost"), 503, "AgentLost", "Lost (PodNotRunning: no image)"),
        (gateway_objects.finished("Invalid", "Senseless"), 503, "Invalid", "Senseless (PodNotRunning: no image)"),
    ],
)
async def test_token_session_never_ready_returns_reason(
    api: FakeApiServer, start: Start, end: Any, status: int, code: str, message: str
) -> None:
    pending = asyncio.create_task(request_token(await start()))
    (name,) = await wait_for_sessions(api)
    await api.status(name, gateway_objects.starting("PodNotRunning", "no image"))
    await asyncio.sleep(0.05)
    await api.status(name, end)
    answer = await pending
    assert (answer.status, answer.code, answer.body["error"]["message"]) == (status, code, message)


async def test_token_deadline_keeps_session_for_next_request(api: FakeApiServer, start: Start) -> None:
    client = await start(READY_SECONDS="1")
    pending = asyncio.create_task(request_token(client, ALICE))
    (name,) = await wait_for_sessions(api)
    await api.status(name, gateway_objects.starting("AgentError", "the model does not load"))
    late = await pending
    assert (late.status, late.code) == (504, "AgentError")
    assert late.body["error"]["message"] == "not Ready after 1 s (AgentError: the model does not load)"
    assert late.headers["Retry-After"] == "1"
    await api.status(name, gateway_objects.ready())
    assert (await request_token(client, ALICE)).headers["Voicesession-Name"] == name


async def test_token_with_silent_watch_reads_api_server(api: FakeApiServer, start: Start) -> None:
    client = await start(READY_SECONDS="1")
    pending = asyncio.create_task(request_token(client, ALICE))
    (name,) = await wait_for_sessions(api)
    await asyncio.sleep(0.1)
    api.silent.set()
    await api.status(name, gateway_objects.ready())
    assert (await pending).status == 201
    assert api.calls["get"] == 1


async def test_token_wait_sends_no_request(api: FakeApiServer, start: Start) -> None:
    pending = asyncio.create_task(request_token(await start(), ALICE))
    (name,) = await wait_for_sessions(api)
    await until(lambda: api.calls["watch"] == INFORMERS)
    before = dict(api.calls)
    await asyncio.sleep(0.2)
    await api.status(name, gateway_objects.ready())
    assert (await pending).status == 201
    assert dict(api.calls) == before


async def test_token_session_not_in_watch_returns_503(api: FakeApiServer, start: Start) -> None:
    client = await start(timings=GatewayTimings(watch_seconds=0.1))
    api.silent.set()
    answer = await request_token(client, ALICE)
    assert (answer.status, answer.code) == (503, "Unavailable")
    api.silent.clear()
    async with FakeOperator(api):
        assert (await request_token(client, ALICE)).status == 201
    assert len(api.sessions) == 1


async def test_token_client_disconnect_releases_waiter(api: FakeApiServer, start: Start) -> None:
    client = await start(CALLER_SESSIONS="1")
    leaving = asyncio.create_task(request_token(client, ALICE))
    (name,) = await wait_for_sessions(api)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await api.status(name, gateway_objects.finished("NobodyCame", "Nobody came"))
    async with FakeOperator(api):
        assert (await request_token(client, ALICE)).headers["Voicesession-Name"] == f"{name}-2"
    await until(lambda: REGISTRY.get_sample_value("voicesession_gateway_waiting_requests") == 0)


async def test_interrupted_watch_is_resumed(api: FakeApiServer, start: Start) -> None:
    client = await start()
    for forget in (False, True):
        await api.cut_watches(forget=forget)
        async with FakeOperator(api):
            assert (await request_token(client)).status == 201


async def test_changes_without_open_watch_are_found(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        name = (await request_token(client, ALICE)).headers["Voicesession-Name"]
        api.refuse["watch"] = lambda: problem(500, "Down")
        await api.cut_watches()
        await api.drop(name)
        await api.cut_watches(forget=True)
        del api.refuse["watch"]
        await until(lambda: _is_unknown(client, name))
        assert (await request_token(client, ALICE)).status == 201


async def test_requests_before_first_list_return_503(api: FakeApiServer, start: Start) -> None:
    api.refuse["get-all"] = lambda: web.json_response({"reason": "Down"}, status=500)
    client = await start(wait=False)
    assert (await call_api(client, "GET", "/readyz")).status == 503
    assert (await request_token(client)).code == "Unavailable"


async def _is_unknown(client: Client, name: str) -> bool:
    return (await call_api(client, "GET", f"/api/v1/sessions/{name}")).status == 404
