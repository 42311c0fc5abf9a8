"""POST /token over HTTP: one session per conversation, and a response once it is Ready."""

import asyncio
from typing import Any

import jwt
import pytest
from aiohttp import web
from voicesession_common.api import constants

from tests.support import gateway_objects
from tests.support.fakes.api_server import FakeApiServer, problem
from tests.support.gateway_client import FakeOperator, call_api, request_token, until, wait_for_sessions
from tests.unit.gateway.conftest import SECRET, Start

ALICE = {"participant_identity": "alice", "room_config": {"agents": [{"agent_name": "agent-66"}]}}


def claims(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(answer.body["participant_token"], SECRET, algorithms=["HS256"])
    return found


async def test_token_response_waits_for_ready(api: FakeApiServer, start: Start) -> None:
    pending = asyncio.create_task(request_token(await start(), ALICE | {"participant_attributes": {"color": "blue"}}))
    (name,) = await wait_for_sessions(api)
    await api.status(name, gateway_objects.starting())
    assert not (await asyncio.wait({pending}, timeout=0.05))[0]

    await api.status(name, gateway_objects.ready())
    answer = await pending

    assert answer.status == 201
    assert answer.body.keys() == {"server_url", "participant_token"}
    assert answer.body["server_url"] == "wss://livekit.example"
    assert (answer.headers["Voicesession-Name"], answer.headers["Cache-Control"]) == (name, "no-store")
    token_claims = claims(answer)
    assert token_claims["sub"] == "alice"
    assert token_claims["kind"] == "standard"
    assert token_claims["attributes"] == {"color": "blue", "voicesession.role": "human", "voicesession.session": name}
    assert token_claims["exp"] - token_claims["nbf"] == pytest.approx(300, abs=2)
    grants = {grant: value for grant, value in token_claims["video"].items() if value}
    assert grants == {
        "roomJoin": True,
        "room": "vs-room",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }


async def test_created_session_has_owner_labels(api: FakeApiServer, start: Start) -> None:
    async with FakeOperator(api):
        config = {"agents": [{"agent_name": "agent-66", "metadata": "for the agent"}]}
        answer = await request_token(await start(), ALICE | {"room_config": config})
    session = api.sessions[answer.headers["Voicesession-Name"]]
    assert session["spec"] == {
        "agentRef": {"name": "agent-66"},
        "user": "alice",
        "agentMetadata": "for the agent",
    }
    assert session["metadata"]["labels"].keys() == {
        constants.CALLER_LABEL,
        constants.USER_LABEL,
        constants.CONVERSATION_LABEL,
    }
    assert all(len(value) == 32 for value in session["metadata"]["labels"].values())


async def test_token_second_request_joins_session(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        answers = [await request_token(client, {"room_name": "kitchen"} | ALICE) for _ in range(3)]
        answers.append(await request_token(client, {"room_name": "kitchen", "participant_identity": "bob"}))
        (name,) = api.sessions
        answers += [
            await request_token(client, {"room_name": key, "participant_identity": "eve"}) for key in (name, "vs-room")
        ]
    assert {answer.status for answer in answers} == {201}
    assert {answer.headers["Voicesession-Name"] for answer in answers} == {name}
    assert [claims(answer)["sub"] for answer in answers] == ["alice"] * 3 + ["bob", "eve", "eve"]


async def test_token_concurrent_requests_at_two_replicas_create_single_session(
    api: FakeApiServer, start: Start
) -> None:
    clients = [await start(), await start()]
    async with FakeOperator(api):
        requests = [request_token(clients[n % 2], {"room_name": "kitchen"} | ALICE) for n in range(20)]
        answers = await asyncio.gather(*requests)
    assert {answer.status for answer in answers} == {201}
    assert len(api.sessions) == 1


async def test_token_request_without_fields_creates_own_session(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        answers = [await request_token(client) for _ in range(2)]
    assert len(api.sessions) == 2
    assert len({claims(answer)["sub"] for answer in answers}) == 2


async def test_token_request_without_tracing_creates_session_without_annotations(
    api: FakeApiServer, start: Start
) -> None:
    async with FakeOperator(api):
        answer = await request_token(await start())
    assert api.sessions[answer.headers["Voicesession-Name"]]["metadata"]["annotations"] == {}


async def test_token_request_with_idempotency_key_returns_same_session(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        for _ in range(2):
            assert (await request_token(client, Idempotency_Key="r1")).status == 201
    assert len(api.sessions) == 1
    assert (await request_token(client, Idempotency_Key="r" * 257)).code == "InvalidRequest"


async def test_token_request_after_end_creates_next_session(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        first = await request_token(client, ALICE)
        name = first.headers["Voicesession-Name"]
        await api.status(name, gateway_objects.finished())
        second = await request_token(client, ALICE)
        assert second.headers["Voicesession-Name"] == f"{name}-2"
        await api.drop(name)
        third = await request_token(client, ALICE)
        assert third.headers["Voicesession-Name"] == f"{name}-2"


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
    api: FakeApiServer, start: Start, body: Any, status: int, code: str
) -> None:
    answer = await call_api(await start(), "POST", "/token", body)
    assert (answer.status, answer.code) == (status, code)
    assert api.sessions == {}


async def test_token_request_without_agent_uses_default(api: FakeApiServer, start: Start) -> None:
    async with FakeOperator(api):
        assert (await call_api(await start(DEFAULT_AGENT="agent-66"), "POST", "/token", {})).status == 201


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (lambda: problem(503, "Busy"), 503, "Busy"),
        (lambda: problem(403, "Forbidden", "no right"), 503, "Forbidden"),
        (lambda: problem(422, "Invalid", "spec.user: too long"), 422, "Invalid"),
    ],
)
async def test_token_api_server_refusal_is_reported(
    api: FakeApiServer, start: Start, refusal: Any, status: int, code: str
) -> None:
    api.refuse["post-all"] = refusal
    answer = await request_token(await start())
    assert (answer.status, answer.code) == (status, code)
    assert "no right" not in answer.body["error"]["message"]


async def test_token_other_agent_in_same_room_returns_409(api: FakeApiServer, start: Start) -> None:
    client = await start()
    await api.put(constants.AGENTS, gateway_objects.agent("agent-7"))
    async with FakeOperator(api):
        await request_token(client, {"room_name": "kitchen"} | ALICE)
        answer = await request_token(
            client, {"room_name": "kitchen", "room_config": {"agents": [{"agent_name": "agent-7"}]}}
        )
    assert (answer.status, answer.code) == (409, "Conflict")


@pytest.mark.parametrize(("humans", "is_announced"), [(0, True), (1, False)])
async def test_token_of_empty_session_announces_human(
    api: FakeApiServer, start: Start, humans: int, is_announced: bool
) -> None:
    client = await start()
    async with FakeOperator(api):
        first = await request_token(client, ALICE)
    name = first.headers["Voicesession-Name"]
    assert api.calls["patch"] == 0, "the operator waits joinSeconds for the human of a new session"
    await api.status(name, gateway_objects.ready(humans=humans))
    second = await request_token(client, ALICE)
    assert (second.status, second.headers["Voicesession-Name"]) == (201, name)
    annotations = api.sessions[name]["metadata"].get("annotations", {})
    assert (constants.HUMAN_EXPECTED_AT_ANNOTATION in annotations) is is_announced


async def test_token_is_issued_without_right_to_announce_human(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        await request_token(client, ALICE)
        api.refuse["patch"] = lambda: problem(403, "Forbidden")
        assert (await request_token(client, ALICE)).status == 201


async def test_token_of_ending_session_is_for_next_session(api: FakeApiServer, start: Start) -> None:
    client = await start()
    async with FakeOperator(api):
        name = (await request_token(client, ALICE)).headers["Voicesession-Name"]
        api.silent.set()
        ended = {**api.sessions[name], "status": gateway_objects.finished()}
        api.refuse["patch"] = lambda: web.json_response(ended)
        pending = asyncio.create_task(request_token(client, ALICE))
        await until(lambda: api.calls["patch"] > 0)
        del api.refuse["patch"]
        await api.status(name, gateway_objects.finished())
        api.silent.clear()
        await api.cut_watches()
        answer = await pending
    assert (answer.status, answer.headers["Voicesession-Name"]) == (201, f"{name}-2")
