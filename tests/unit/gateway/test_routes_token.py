"""POST /token over HTTP: one session per conversation, and a response once it is Ready."""

import asyncio
from typing import Any

import jwt
import pytest
from aiohttp import web
from voicesession_common.api import constants
from voicesession_gateway import sessions as service
from voicesession_gateway.metrics import REGISTRY

from tests.support import gateway_objects
from tests.support.fakes.api_server import Cluster, problem
from tests.support.gateway_client import Client, Operator, ask, made, token, until
from tests.unit.gateway.conftest import SECRET, Start

ALICE = {"participant_identity": "alice", "room_config": {"agents": [{"agent_name": "agent-66"}]}}


def claims(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(answer.body["participant_token"], SECRET, algorithms=["HS256"])
    return found


async def test_token_response_waits_for_ready(api: Cluster, start: Start) -> None:
    asking = asyncio.create_task(token(await start(), ALICE | {"participant_attributes": {"color": "blue"}}))
    (name,) = await made(api)
    await api.status(name, gateway_objects.starting())
    assert not (await asyncio.wait({asking}, timeout=0.05))[0]

    await api.status(name, gateway_objects.ready())
    answer = await asking

    assert answer.status == 201
    assert answer.body.keys() == {"server_url", "participant_token"}
    assert answer.body["server_url"] == "wss://livekit.example"
    assert (answer.headers["Voicesession-Name"], answer.headers["Cache-Control"]) == (name, "no-store")
    shown = claims(answer)
    assert shown["sub"] == "alice"
    assert shown["kind"] == "standard"
    assert shown["attributes"] == {"color": "blue", "voicesession.role": "human", "voicesession.session": name}
    assert shown["exp"] - shown["nbf"] == pytest.approx(300, abs=2)
    granted = {grant: value for grant, value in shown["video"].items() if value}
    assert granted == {
        "roomJoin": True,
        "room": "vs-room",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }


async def test_created_session_has_owner_labels(api: Cluster, start: Start) -> None:
    async with Operator(api):
        config = {"agents": [{"agent_name": "agent-66", "metadata": "for the room"}]}
        answer = await token(await start(), ALICE | {"room_config": config})
    session = api.sessions[answer.headers["Voicesession-Name"]]
    assert session["spec"] == {
        "agentRef": {"name": "agent-66"},
        "user": "alice",
        "room": {"metadata": "for the room"},
    }
    assert session["metadata"]["labels"].keys() == {
        constants.CALLER_LABEL,
        constants.USER_LABEL,
        constants.CONVERSATION_LABEL,
    }
    assert all(len(value) == 32 for value in session["metadata"]["labels"].values())


async def test_token_second_request_joins_session(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        answers = [await token(client, {"room_name": "kitchen"} | ALICE) for _ in range(3)]
        answers.append(await token(client, {"room_name": "kitchen", "participant_identity": "bob"}))
        (name,) = api.sessions
        answers += [await token(client, {"room_name": key, "participant_identity": "eve"}) for key in (name, "vs-room")]
    assert {answer.status for answer in answers} == {201}
    assert {answer.headers["Voicesession-Name"] for answer in answers} == {name}
    assert [claims(answer)["sub"] for answer in answers] == ["alice"] * 3 + ["bob", "eve", "eve"]


async def test_token_concurrent_requests_at_two_replicas_create_single_session(api: Cluster, start: Start) -> None:
    clients = [await start(), await start()]
    async with Operator(api):
        asked = [token(clients[n % 2], {"room_name": "kitchen"} | ALICE) for n in range(20)]
        answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {201}
    assert len(api.sessions) == 1


async def test_token_request_without_fields_creates_own_session(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        answers = [await token(client) for _ in range(2)]
    assert len(api.sessions) == 2
    assert len({claims(answer)["sub"] for answer in answers}) == 2


async def test_token_request_with_idempotency_key_returns_same_session(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        for _ in range(2):
            assert (await token(client, Idempotency_Key="r1")).status == 201
    assert len(api.sessions) == 1
    assert (await token(client, Idempotency_Key="r" * 257)).code == "InvalidRequest"


async def test_token_request_after_end_creates_next_session(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        first = await token(client, ALICE)
        name = first.headers["Voicesession-Name"]
        await api.status(name, gateway_objects.finished())
        second = await token(client, ALICE)
        assert second.headers["Voicesession-Name"] == f"{name}-2"
        await api.drop(name)
        third = await token(client, ALICE)
        assert third.headers["Voicesession-Name"] == f"{name}-2"


async def test_token_session_ending_during_wait_is_followed_by_next(api: Cluster, start: Start) -> None:
    client = await start()
    first = asyncio.create_task(token(client, ALICE))
    (name,) = await made(api)
    await api.status(name, gateway_objects.starting())
    second = asyncio.create_task(token(client, ALICE))
    assert not (await asyncio.wait({first, second}, timeout=0.05))[0]
    await api.status(name, gateway_objects.finished("Requested", "It was asked to end"))
    async with Operator(api):
        answers = await asyncio.gather(first, second)
    assert answers[0].code == "Requested"
    assert (answers[1].status, answers[1].headers["Voicesession-Name"]) == (201, f"{name}-2")


@pytest.mark.parametrize(
    ("end", "status", "code", "words"),
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
    api: Cluster, start: Start, end: Any, status: int, code: str, words: str
) -> None:
    asking = asyncio.create_task(token(await start()))
    (name,) = await made(api)
    await api.status(name, gateway_objects.starting("PodNotRunning", "no image"))
    await asyncio.sleep(0.05)
    await api.status(name, end)
    answer = await asking
    assert (answer.status, answer.code, answer.body["error"]["message"]) == (status, code, words)


async def test_token_deadline_keeps_session_for_next_request(api: Cluster, start: Start) -> None:
    client = await start(READY_SECONDS="1")
    asking = asyncio.create_task(token(client, ALICE))
    (name,) = await made(api)
    await api.status(name, gateway_objects.starting("AgentError", "the model does not load"))
    late = await asking
    assert (late.status, late.code) == (504, "AgentError")
    assert late.body["error"]["message"] == "not Ready after 1 s (AgentError: the model does not load)"
    assert late.headers["Retry-After"] == "1"
    await api.status(name, gateway_objects.ready())
    assert (await token(client, ALICE)).headers["Voicesession-Name"] == name


async def test_token_with_silent_watch_reads_api_server(api: Cluster, start: Start) -> None:
    client = await start(READY_SECONDS="1")
    asking = asyncio.create_task(token(client, ALICE))
    (name,) = await made(api)
    await asyncio.sleep(0.1)
    api.silent.set()
    await api.status(name, gateway_objects.ready())
    assert (await asking).status == 201
    assert api.calls["get"] == 1


async def test_token_wait_sends_no_request(api: Cluster, start: Start) -> None:
    asking = asyncio.create_task(token(await start(), ALICE))
    (name,) = await made(api)
    before = dict(api.calls)
    await asyncio.sleep(0.2)
    await api.status(name, gateway_objects.ready())
    assert (await asking).status == 201
    assert dict(api.calls) == before


async def test_token_session_not_in_watch_returns_503(
    api: Cluster, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WATCH_SECONDS", 0.1)
    client = await start()
    api.silent.set()
    answer = await token(client, ALICE)
    assert (answer.status, answer.code) == (503, "Unavailable")
    api.silent.clear()
    async with Operator(api):
        assert (await token(client, ALICE)).status == 201
    assert len(api.sessions) == 1


async def test_token_client_disconnect_releases_waiter(api: Cluster, start: Start) -> None:
    client = await start(CALLER_SESSIONS="1")
    leaving = asyncio.create_task(token(client, ALICE))
    (name,) = await made(api)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await api.status(name, gateway_objects.finished("NobodyCame", "Nobody came"))
    async with Operator(api):
        assert (await token(client, ALICE)).headers["Voicesession-Name"] == f"{name}-2"
    await until(lambda: REGISTRY.get_sample_value("voicesession_gateway_waiting_requests") == 0)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"room_config": {"agents": [{"agent_name": "nobody"}]}}, 404, "UnknownAgent"),
        ({}, 400, "AgentRequired"),
        ({"participant_identity": "agent-agent-66"}, 400, "FieldNotAllowed"),
        ([], 400, "InvalidRequest"),
    ],
)
async def test_token_invalid_request_creates_no_session(
    api: Cluster, start: Start, body: Any, status: int, code: str
) -> None:
    answer = await ask(await start(), "POST", "/token", body)
    assert (answer.status, answer.code) == (status, code)
    assert api.sessions == {}


async def test_token_request_without_agent_uses_default(api: Cluster, start: Start) -> None:
    async with Operator(api):
        assert (await ask(await start(DEFAULT_AGENT="agent-66"), "POST", "/token", {})).status == 201


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (lambda: problem(503, "Busy"), 503, "Busy"),
        (lambda: problem(403, "Forbidden", "no right"), 503, "Forbidden"),
        (lambda: problem(422, "Invalid", "spec.user: too long"), 422, "Invalid"),
    ],
)
async def test_token_api_server_refusal_is_reported(
    api: Cluster, start: Start, refusal: Any, status: int, code: str
) -> None:
    api.refuse["post-all"] = refusal
    answer = await token(await start())
    assert (answer.status, answer.code) == (status, code)
    assert "no right" not in answer.body["error"]["message"]


async def test_token_other_agent_in_same_room_returns_409(api: Cluster, start: Start) -> None:
    client = await start()
    await api.put(constants.AGENTS, gateway_objects.agent("agent-7"))
    async with Operator(api):
        await token(client, {"room_name": "kitchen"} | ALICE)
        answer = await token(client, {"room_name": "kitchen", "room_config": {"agents": [{"agent_name": "agent-7"}]}})
    assert (answer.status, answer.code) == (409, "Conflict")


async def test_interrupted_watch_is_resumed(api: Cluster, start: Start) -> None:
    client = await start()
    for forget in (False, True):
        await api.cut_watches(forget=forget)
        async with Operator(api):
            assert (await token(client)).status == 201


async def test_changes_without_open_watch_are_found(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        name = (await token(client, ALICE)).headers["Voicesession-Name"]
        api.refuse["watch"] = lambda: problem(500, "Down")
        await api.cut_watches()
        await api.drop(name)
        await api.cut_watches(forget=True)
        del api.refuse["watch"]
        await until(lambda: _is_unknown(client, name))
        assert (await token(client, ALICE)).status == 201


async def test_requests_before_first_list_return_503(api: Cluster, start: Start) -> None:
    api.refuse["get-all"] = lambda: web.json_response({"reason": "Down"}, status=500)
    client = await start(wait=False)
    assert (await ask(client, "GET", "/readyz")).status == 503
    assert (await token(client)).code == "Unavailable"


async def _is_unknown(client: Client, name: str) -> bool:
    return (await ask(client, "GET", f"/api/v1/sessions/{name}")).status == 404
