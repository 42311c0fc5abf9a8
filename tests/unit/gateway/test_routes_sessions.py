"""The session API and its event streams over HTTP."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from voicesession_common.api import constants
from voicesession_common.tracing import Tracing
from voicesession_gateway import metrics
from voicesession_gateway.app import Gateway, GatewayTimings
from voicesession_gateway.routes import openapi_document
from voicesession_gateway.settings import GatewaySettings

from tests.support import gateway_objects
from tests.support.fakes.api_server import FakeApiServer, problem
from tests.support.gateway_client import Client, call_api, until
from tests.unit.gateway.conftest import ENVIRONMENT, Start

KEYS = {"shop": "a-key-of-the-shop-000001", "bank": "a-key-of-the-bank-000001"}
SHOP, BANK = ({"Authorization": f"Bearer {key}"} for key in KEYS.values())
PATH = "/api/v1/sessions"


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key)
    return tmp_path


@pytest.fixture
async def client(start: Start, keys_dir: Path) -> Client:
    """Return a client of a gateway with two callers that have keys."""
    return await start(AUTH_MODE="keys", KEYS_DIR=str(keys_dir))


async def create(client: Client, **body: str) -> str:
    answer = await call_api(client, "POST", PATH, {"agent": "agent-66", **body}, **SHOP)
    assert answer.status == 201
    assert answer.headers["Location"] == f"{PATH}/{answer.body['name']}"
    return str(answer.body["name"])


async def test_list_agents_returns_names_and_readiness(api: FakeApiServer, client: Client) -> None:
    await api.put(constants.AGENTS, gateway_objects.agent("agent-7", spec={"instructions": "secret"}, is_ready="False"))

    async def two() -> bool:
        return len((await call_api(client, "GET", "/api/v1/agents", **SHOP)).body) == 2

    await until(two)
    assert (await call_api(client, "GET", "/api/v1/agents", **SHOP)).body == [
        {"name": "agent-66", "displayName": "Agent_66", "ready": True},
        {"name": "agent-7", "displayName": "agent-7", "ready": False},
    ]


async def test_session_api_covers_session_lifecycle(api: FakeApiServer, client: Client) -> None:
    name = await create(client, user="bob")
    assert api.sessions[name]["spec"] == {"agentRef": {"name": "agent-66"}, "user": "bob"}
    await api.status(name, gateway_objects.ready(humans=1))

    async def ready() -> bool:
        return bool((await call_api(client, "GET", f"{PATH}/{name}", **SHOP)).body["phase"] == "Ready")

    await until(ready)
    listed = await call_api(client, "GET", PATH, **SHOP)
    assert [(s["name"], s["humans"]) for s in listed.body] == [(name, 1)]

    ended_error = await call_api(client, "DELETE", f"{PATH}/{name}", **SHOP)
    assert (ended_error.status, api.sessions) == (204, {})


async def test_create_with_same_room_name_returns_same_session(client: Client) -> None:
    name = await create(client, roomName="kitchen")
    again = await call_api(client, "POST", PATH, {"agent": "agent-66", "roomName": "kitchen"}, **SHOP)
    assert (again.status, again.body["name"]) == (200, name)


async def test_session_of_other_caller_is_unknown(client: Client) -> None:
    name = await create(client, roomName="kitchen")
    assert (await call_api(client, "GET", PATH, **BANK)).body == []
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        answer = await call_api(client, method, f"{PATH}/{name}{path}", **BANK)
        assert (answer.status, answer.code) == (404, "UnknownSession")
    other = await call_api(client, "POST", PATH, {"agent": "agent-66", "roomName": "kitchen"}, **BANK)
    assert (other.status, other.body["name"] != name) == (201, True)


async def test_end_reports_failure_and_ignores_missing_session(api: FakeApiServer, client: Client) -> None:
    name = await create(client)
    api.refuse["delete"] = lambda: problem(503, "Busy")
    answer = await call_api(client, "DELETE", f"{PATH}/{name}", **SHOP)
    assert (answer.status, answer.code) == (503, "Busy")
    api.refuse["delete"] = lambda: problem(404, "NotFound")
    assert (await call_api(client, "DELETE", f"{PATH}/{name}", **SHOP)).status == 204


async def events(client: Client, name: str, **headers: str) -> tuple[int, list[dict[str, Any]], str]:
    """Return the status, the events until the stream ended, and its whole text."""
    async with client.get(f"{PATH}/{name}/events", headers=SHOP | headers) as response:
        text = await response.text()
    return response.status, [json.loads(data) for data in re.findall(r"^data: (.+)$", text, re.MULTILINE)], text


async def test_event_stream_sends_every_change_until_end(api: FakeApiServer, client: Client) -> None:
    name = await create(client)
    following = asyncio.create_task(events(client, name))
    for status in (
        gateway_objects.starting(),
        gateway_objects.ready(),
        gateway_objects.ready(),
        gateway_objects.ready(humans=1),
        gateway_objects.finished(),
    ):
        await asyncio.sleep(0.05)
        await api.status(name, status)
    status, sessions, text = await following
    assert status == 200
    assert [(session["phase"], session["humans"]) for session in sessions] == [
        ("Pending", 0),
        ("Starting", 0),
        ("Ready", 0),
        ("Ready", 1),
        ("Finished", 0),
    ]
    assert text.count("event: session\n") == 5

    last = re.findall(r"^id: (\d+)$", text, re.MULTILINE)[-1]
    assert (await events(client, name, **{"Last-Event-ID": last}))[0] == 204
    assert [session["phase"] for session in (await events(client, name))[1]] == ["Finished"]


async def test_event_stream_head_request_is_refused(client: Client) -> None:
    name = await create(client)
    async with client.head(f"{PATH}/{name}/events", headers=SHOP) as response:
        assert response.status == 405


async def test_event_stream_of_deleted_session_ends(api: FakeApiServer, client: Client) -> None:
    name = await create(client)
    following = asyncio.create_task(events(client, name))
    await asyncio.sleep(0.05)
    await api.drop(name)
    _, sessions, _ = await following
    assert [(session["phase"], session["reason"], session["endReason"]) for session in sessions[1:]] == [
        ("Finished", "Deleted", "Requested")
    ]


async def test_event_stream_sends_heartbeats_and_ends_after_disconnect(start: Start, keys_dir: Path) -> None:
    timings = GatewayTimings(heartbeat_seconds=0.02)
    client = await start(timings=timings, AUTH_MODE="keys", KEYS_DIR=str(keys_dir))
    name = await create(client)
    async with client.get(f"{PATH}/{name}/events", headers=SHOP) as response:
        async with asyncio.timeout(30):
            while b"heartbeat" not in await response.content.readline():
                pass
    await until(lambda: metrics.REGISTRY.get_sample_value("voicesession_gateway_event_streams") == 0)


async def test_event_stream_ends_at_shutdown(client: Client) -> None:
    name = await create(client)
    following = asyncio.create_task(events(client, name))
    await asyncio.sleep(0.05)
    assert client.server is not None
    await client.server.close()
    async with asyncio.timeout(30):
        assert (await following)[1]


def test_openapi_document_lists_exactly_the_routes() -> None:
    document_of = json.loads(openapi_document())
    documented = {
        (method.upper(), path)
        for path, item in document_of["paths"].items()
        for method in item
        if method != "parameters"
    }
    app = Gateway(GatewaySettings.from_env(ENVIRONMENT), None, Tracing()).app  # type: ignore[arg-type]
    routes = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource and r.method != "HEAD"}
    assert documented == {(m, p) for m, p in routes if p.startswith(("/api/", "/token"))}


def test_openapi_document_references_resolve() -> None:
    openapi = json.loads(openapi_document())
    for place in re.findall(r'"#/([^"]+)"', openapi_document()):
        target: Any = openapi
        for part in place.split("/"):
            target = target[part]
        assert target


async def test_openapi_document_needs_no_authentication(client: Client) -> None:
    assert (await call_api(client, "GET", "/api/v1/openapi.json")).body["openapi"] == "3.1.0"
