"""Access control: API keys, hosts, origins, CORS headers, and the responses to refused requests."""

from pathlib import Path

import pytest
from voicesession_gateway import auth
from voicesession_gateway.auth import ApiKeys
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.naming import Caller

from tests.support.fakes.api_server import FakeApiServer
from tests.support.gateway_client import call_api, request_token
from tests.unit.gateway.conftest import Start

PAGE = "https://shop.example"
KEY = "a-key-of-the-shop-000001"


async def refusal(keys: ApiKeys, authorization: str) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await keys.authenticate(authorization)
    return refused.value


async def test_request_without_valid_key_returns_401(api: FakeApiServer, start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(KEY)
    client = await start(AUTH_MODE="keys", KEYS_DIR=str(tmp_path))
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer a-key-of-nobody-0000"}):
        for method, path in (("POST", "/token"), ("GET", "/api/v1/agents"), ("DELETE", "/api/v1/sessions/x")):
            answer = await call_api(client, method, path, {} if method == "POST" else None, **headers)
            assert (answer.status, answer.code, answer.headers["WWW-Authenticate"]) == (
                401,
                "Unauthenticated",
                "Bearer",
            )
    assert api.sessions == {}
    assert (await call_api(client, "GET", "/api/v1/agents", Authorization=f"bearer {KEY}")).status == 200


async def test_api_keys_after_file_change_are_read_again(tmp_path: Path) -> None:
    now = [0.0]
    keys = ApiKeys(tmp_path, lambda: now[0])
    (tmp_path / "shop").write_text(f"{KEY}\nanother-key-of-the-shop\n")
    (tmp_path / "short").write_text("short")
    (tmp_path / "..data").mkdir()
    assert await keys.authenticate(f"Bearer {KEY}") == Caller("keys:shop")
    assert await keys.authenticate("Bearer another-key-of-the-shop") == Caller("keys:shop")
    assert (await refusal(keys, "Bearer short")).code is ErrorCode.UNAUTHENTICATED

    (tmp_path / "shop").write_text("a-new-key-of-the-shop-01")
    now[0] += auth.CHECK_SECONDS
    assert await keys.authenticate("Bearer a-new-key-of-the-shop-01") == Caller("keys:shop")
    assert "unknown" in (await refusal(keys, f"Bearer {KEY}")).message


async def test_api_keys_with_unreadable_file_keep_last_keys(tmp_path: Path) -> None:
    now = [0.0]
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "shop").write_text(KEY)
    keys = ApiKeys(folder, lambda: now[0])
    await keys.authenticate(f"Bearer {KEY}")
    (folder / "bank").write_bytes(b"\xff" * 20)
    now[0] += auth.CHECK_SECONDS
    assert await keys.authenticate(f"Bearer {KEY}") == Caller("keys:shop")
    folder.rename(tmp_path / "away")
    now[0] += auth.CHECK_SECONDS
    assert await keys.authenticate(f"Bearer {KEY}") == Caller("keys:shop")


async def test_request_from_other_origin_is_refused(start: Start) -> None:
    client = await start()
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = await call_api(client, "OPTIONS", "/token", **asked)
    assert preflight.status == 403
    answer = await request_token(client, {}, Origin=PAGE)
    assert (answer.status, answer.code) == (403, "OriginNotAllowed")
    assert not [name for name in (*preflight.headers, *answer.headers) if name.startswith("Access-Control")]
    assert answer.headers["Vary"] == "Origin"


async def test_request_from_gateway_page_is_accepted(start: Start) -> None:
    client = await start()
    own = f"http://127.0.0.1:{client.port}"
    assert (await call_api(client, "GET", "/api/v1/agents", Origin=own)).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9000", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:9000", 200),
        ("[::1]:9000", 200),
        ("172.18.0.2:30900", 200),
        ("Voice.example:9000", 200),
        ("attacker.example:9000", 403),
        ("127.0.0.1.attacker.example", 403),
        ("localhost.attacker.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_host_without_authentication_must_be_known(start: Start, host: str, status: int) -> None:
    client = await start(HOSTS="voice.EXAMPLE,other.example")
    own = {"Host": host, "Origin": f"http://{host.lower()}"} if status == 403 else {"Host": host}
    for method, path in (("GET", "/api/v1/sessions"), ("POST", "/token")):
        answer = await call_api(client, method, path, {} if method == "POST" else None, **own)
        assert answer.status == (403 if status == 403 else {"GET": 200, "POST": 400}[method])
        assert status == 200 or answer.code == "HostNotAllowed"
    assert (await call_api(client, "GET", "/healthz", Host=host)).status == 200


async def test_host_with_api_keys_may_be_any_name(start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(KEY)
    client = await start(AUTH_MODE="keys", KEYS_DIR=str(tmp_path))
    answer = await call_api(client, "GET", "/api/v1/sessions", Host="voice.example", Authorization=f"Bearer {KEY}")
    assert answer.status == 200


async def test_allowed_origin_gets_cors_headers(start: Start) -> None:
    client = await start(CORS_ORIGINS=f"{PAGE},https://other.example")
    preflight = await call_api(client, "OPTIONS", "/token", Origin=PAGE, Access_Control_Request_Method="POST")
    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    refused = await request_token(client, {}, Origin=PAGE)
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (400, PAGE)
    assert "Voicesession-Name" in refused.headers["Access-Control-Expose-Headers"]
    assert (await call_api(client, "GET", "/api/v1/agents", Origin=f"{PAGE}.evil.example")).status == 403


async def test_allowed_origin_gets_cors_headers_for_event_stream(api: FakeApiServer, start: Start) -> None:
    client = await start(CORS_ORIGINS=PAGE)
    name = (await call_api(client, "POST", "/api/v1/sessions", {"agent": "agent-66"})).body["name"]
    async with client.get(f"/api/v1/sessions/{name}/events", headers={"Origin": PAGE}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        ("{}", "text/plain", 415, "NotJSON"),
        ("{", "application/json", 400, "InvalidRequest"),
        ('"' + "x" * 300_000 + '"', "application/json", 413, "TooLarge"),
    ],
)
async def test_malformed_request_returns_error_code(start: Start, data: str, kind: str, status: int, code: str) -> None:
    client = await start()
    async with client.post("/token", data=data, headers={"Content-Type": kind}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "NotFound"), ("PUT", "/token", 405, "MethodNotAllowed")],
)
async def test_error_response_has_code_and_message(
    start: Start, method: str, path: str, status: int, code: str
) -> None:
    answer = await call_api(await start(), method, path)
    assert (answer.status, answer.code) == (status, code)
