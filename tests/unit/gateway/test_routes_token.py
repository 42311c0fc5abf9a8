"""POST /token, spoken to over HTTP: one session for whoever asks for the same, and an answer when it is Ready."""

import asyncio
from typing import Any

import jwt
import pytest
from aiohttp import web
from voicesession_common.api import constants
from voicesession_gateway import sessions as desk
from voicesession_gateway.metrics import REGISTRY

from tests.support import gateway_objects
from tests.support.fakes.api_server import Cluster, problem
from tests.support.gateway_client import Client, Operator, ask, made, token, until
from tests.unit.gateway.conftest import SECRET, Start

ALICE = {"participant_identity": "alice", "room_config": {"agents": [{"agent_name": "agent-66"}]}}


def claims(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(answer.body["participant_token"], SECRET, algorithms=["HS256"])
    return found


async def test_the_answer_comes_when_the_agent_is_there(api: Cluster, start: Start) -> None:
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
    told = claims(answer)
    assert told["sub"] == "alice"
    assert told["kind"] == "standard"
    assert told["attributes"] == {"color": "blue", "voicesession.role": "human", "voicesession.session": name}
    assert told["exp"] - told["nbf"] == pytest.approx(300, abs=2)
    granted = {grant: value for grant, value in told["video"].items() if value}
    assert granted == {
        "roomJoin": True,
        "room": "vs-room",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }


async def test_the_session_says_whose_it_is(api: Cluster, start: Start) -> None:
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


async def test_a_second_call_joins_and_a_repeated_one_changes_nothing(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        answers = [await token(client, {"room_name": "kitchen"} | ALICE) for _ in range(3)]
        answers.append(await token(client, {"room_name": "kitchen", "participant_identity": "bob"}))
        (name,) = api.sessions
        answers += [await token(client, {"room_name": key, "participant_identity": "eve"}) for key in (name, "vs-room")]
    assert {answer.status for answer in answers} == {201}
    assert {answer.headers["Voicesession-Name"] for answer in answers} == {name}
    assert [claims(answer)["sub"] for answer in answers] == ["alice"] * 3 + ["bob", "eve", "eve"]


async def test_at_once_by_two_replicas_there_is_one_session(api: Cluster, start: Start) -> None:
    clients = [await start(), await start()]
    async with Operator(api):
        asked = [token(clients[n % 2], {"room_name": "kitchen"} | ALICE) for n in range(20)]
        answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {201}
    assert len(api.sessions) == 1


async def test_whoever_says_nothing_gets_a_session_of_her_own(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        answers = [await token(client) for _ in range(2)]
    assert len(api.sessions) == 2
    assert len({claims(answer)["sub"] for answer in answers}) == 2


async def test_a_request_with_a_key_may_be_repeated(api: Cluster, start: Start) -> None:
    client = await start()
    async with Operator(api):
        for _ in range(2):
            assert (await token(client, Idempotency_Key="r1")).status == 201
    assert len(api.sessions) == 1
    assert (await token(client, Idempotency_Key="r" * 257)).code == "InvalidRequest"


async def test_after_its_end_the_conversation_begins_anew(api: Cluster, start: Start) -> None:
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


async def test_one_that_ends_while_somebody_waits_to_join_it_is_followed_by_the_next(
    api: Cluster, start: Start
) -> None:
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
async def test_why_it_never_was_ready_is_told(
    api: Cluster, start: Start, end: Any, status: int, code: str, words: str
) -> None:
    asking = asyncio.create_task(token(await start()))
    (name,) = await made(api)
    await api.status(name, gateway_objects.starting("PodNotRunning", "no image"))
    await asyncio.sleep(0.05)
    await api.status(name, end)
    answer = await asking
    assert (answer.status, answer.code, answer.body["error"]["message"]) == (status, code, words)


async def test_a_deadline_passes_and_the_session_stays_to_be_joined(api: Cluster, start: Start) -> None:
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


async def test_when_the_watch_is_dumb_the_last_word_has_the_api_server(api: Cluster, start: Start) -> None:
    client = await start(READY_SECONDS="1")
    asking = asyncio.create_task(token(client, ALICE))
    (name,) = await made(api)
    await asyncio.sleep(0.1)
    api.silent.set()
    await api.status(name, gateway_objects.ready())
    assert (await asking).status == 201
    assert api.calls["get"] == 1


async def test_waiting_asks_nobody(api: Cluster, start: Start) -> None:
    asking = asyncio.create_task(token(await start(), ALICE))
    (name,) = await made(api)
    before = dict(api.calls)
    await asyncio.sleep(0.2)
    await api.status(name, gateway_objects.ready())
    assert (await asking).status == 201
    assert dict(api.calls) == before


async def test_a_session_that_no_watch_shows_is_given_to_nobody(
    api: Cluster, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "WATCH_SECONDS", 0.1)
    client = await start()
    api.silent.set()
    answer = await token(client, ALICE)
    assert (answer.status, answer.code) == (503, "Unavailable")
    api.silent.clear()
    async with Operator(api):
        assert (await token(client, ALICE)).status == 201
    assert len(api.sessions) == 1


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(api: Cluster, start: Start) -> None:
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
async def test_nothing_is_made_for_a_senseless_request(
    api: Cluster, start: Start, body: Any, status: int, code: str
) -> None:
    answer = await ask(await start(), "POST", "/token", body)
    assert (answer.status, answer.code) == (status, code)
    assert api.sessions == {}


async def test_the_default_agent_is_taken_where_none_is_named(api: Cluster, start: Start) -> None:
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
async def test_what_the_api_server_refuses_is_told(
    api: Cluster, start: Start, refusal: Any, status: int, code: str
) -> None:
    api.refuse["post-all"] = refusal
    answer = await token(await start())
    assert (answer.status, answer.code) == (status, code)
    assert "no right" not in answer.body["error"]["message"]


async def test_another_agent_in_the_same_room_is_a_conflict(api: Cluster, start: Start) -> None:
    client = await start()
    await api.put(constants.AGENTS, gateway_objects.agent("agent-7"))
    async with Operator(api):
        await token(client, {"room_name": "kitchen"} | ALICE)
        answer = await token(client, {"room_name": "kitchen", "room_config": {"agents": [{"agent_name": "agent-7"}]}})
    assert (answer.status, answer.code) == (409, "Conflict")


async def test_a_watch_that_breaks_off_is_taken_up_again(api: Cluster, start: Start) -> None:
    client = await start()
    for forget in (False, True):
        await api.cut_watches(forget=forget)
        async with Operator(api):
            assert (await token(client)).status == 201


async def test_what_happened_while_no_watch_was_open_is_known(api: Cluster, start: Start) -> None:
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


async def test_before_the_cluster_is_known_nobody_is_served(api: Cluster, start: Start) -> None:
    api.refuse["get-all"] = lambda: web.json_response({"reason": "Down"}, status=500)
    client = await start(wait=False)
    assert (await ask(client, "GET", "/readyz")).status == 503
    assert (await token(client)).code == "Unavailable"


async def _is_unknown(client: Client, name: str) -> bool:
    return (await ask(client, "GET", f"/api/v1/sessions/{name}")).status == 404
