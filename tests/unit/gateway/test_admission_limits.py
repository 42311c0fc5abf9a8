"""Quotas and rates of callers and users over HTTP, with two replicas."""

import asyncio
from collections import Counter

from voicesession_gateway.metrics import REGISTRY

from tests.support.fakes.api_server import FakeApiServer
from tests.support.gateway_client import Client, FakeOperator, call_api, request_token, until
from tests.unit.gateway.conftest import Start

AGENT = {"room_config": {"agents": [{"agent_name": "agent-66"}]}}


async def test_200_concurrent_requests_at_two_replicas_keep_quota(api: FakeApiServer, start: Start) -> None:
    limits = {"CALLER_SESSIONS": "8", "USER_SESSIONS": "1"}
    clients = [await start(**limits), await start(**limits)]
    async with FakeOperator(api):
        requests = [
            request_token(clients[n % 2], AGENT | {"participant_identity": f"user-{n % 50}"}) for n in range(200)
        ]
        answers = await asyncio.gather(*requests)
    codes = Counter(answer.status if answer.status == 201 else answer.code for answer in answers)
    assert codes.keys() == {201, "TooManySessions"}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 429)
    assert len(api.sessions) == 8
    users = [session["spec"]["user"] for session in api.sessions.values()]
    assert len(set(users)) == len(users)
    given = {answer.headers["Voicesession-Name"] for answer in answers if answer.status == 201}
    assert (given - api.sessions.keys(), api.sessions.keys() - given) == (set(), set())


async def test_200_concurrent_requests_of_50_users_create_50_sessions(api: FakeApiServer, start: Start) -> None:
    limits = {"CALLER_SESSIONS": "0", "USER_SESSIONS": "1"}
    clients = [await start(**limits), await start(**limits)]
    async with FakeOperator(api):
        requests = [
            request_token(clients[n % 2], AGENT | {"participant_identity": f"user-{n // 2 % 50}"}) for n in range(200)
        ]
        answers = await asyncio.gather(*requests)
    assert Counter(answer.status for answer in answers) == {201: 200}
    given = Counter(answer.headers["Voicesession-Name"] for answer in answers)
    assert given.keys() == api.sessions.keys()
    assert set(given.values()) == {4}
    users = Counter(session["spec"]["user"] for session in api.sessions.values())
    assert users == {f"user-{n}": 1 for n in range(50)}


async def test_user_over_quota_is_refused_while_other_users_pass(api: FakeApiServer, start: Start) -> None:
    client = await start(USER_SESSIONS="2")
    async with FakeOperator(api):
        for room in ("a", "b", "c"):
            alice = await request_token(client, AGENT | {"room_name": room, "participant_identity": "alice"})
        bob = await request_token(client, AGENT | {"room_name": "c", "participant_identity": "bob"})
        again = await request_token(client, AGENT | {"room_name": "a", "participant_identity": "alice"})
    assert (alice.status, alice.code) == (429, "TooManySessions")
    assert alice.body["error"]["message"] == "this user has 2 live sessions, and 2 are allowed at once"
    assert (bob.status, again.status) == (201, 201)


async def test_caller_over_rate_gets_retry_after(start: Start) -> None:
    client = await start(CALLER_BURST="2", CALLER_REQUESTS_PER_SECOND="0.1")
    answers = [await call_api(client, "GET", "/api/v1/sessions") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].code == "RateLimited"
    assert 9 <= int(answers[2].headers["Retry-After"]) <= 10


async def test_user_over_rate_leaves_other_users_unaffected(api: FakeApiServer, start: Start) -> None:
    client = await start(USER_BURST="1", USER_REQUESTS_PER_SECOND="0.01")
    async with FakeOperator(api):
        statuses = [
            (await request_token(client, AGENT | {"participant_identity": identity})).status
            for identity in ("alice", "alice", "bob")
        ]
    assert statuses == [201, 429, 201]


async def test_sessions_over_quota_are_withdrawn(api: FakeApiServer, start: Start) -> None:
    clients = [await start(CALLER_SESSIONS="1") for _ in range(3)]
    before = REGISTRY.get_sample_value("voicesession_gateway_sessions_withdrawn_total") or 0
    requests = [call_api(client, "POST", "/api/v1/sessions", {"agent": "agent-66"}) for client in clients]
    answers = await asyncio.gather(*requests)
    assert sorted(answer.status for answer in answers) == [201, 429, 429]
    (name,) = api.sessions
    assert {answer.body["name"] for answer in answers if answer.status == 201} == {name}
    created = api.calls["post-all"]
    assert (REGISTRY.get_sample_value("voicesession_gateway_sessions_withdrawn_total") or 0) == before + created - 1


async def test_session_seen_before_create_response_counts_once(api: FakeApiServer, start: Start) -> None:
    api.next_create_waits = may_respond = asyncio.Event()
    client = await start(CALLER_SESSIONS="2")
    body = {"agent": "agent-66"}
    first = asyncio.create_task(call_api(client, "POST", "/api/v1/sessions", body))
    await until(lambda: _lists_one(client))
    second, third = [await call_api(client, "POST", "/api/v1/sessions", body) for _ in range(2)]
    assert (second.status, third.status) == (201, 429)
    may_respond.set()
    assert (await first).status == 201


async def _lists_one(client: Client) -> bool:
    return len((await call_api(client, "GET", "/api/v1/sessions")).body) == 1


async def test_event_streams_over_limit_are_refused(api: FakeApiServer, start: Start) -> None:
    client = await start(CALLER_STREAMS="1")
    name = (await call_api(client, "POST", "/api/v1/sessions", {"agent": "agent-66"})).body["name"]
    async with client.get(f"/api/v1/sessions/{name}/events") as first:
        assert first.status == 200
        second = await call_api(client, "GET", f"/api/v1/sessions/{name}/events")
        assert (second.status, second.code) == (429, "TooManyStreams")
