"""Who gets in: origins, keys, tokens; and what is told to whom does not."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm
from voicesession_operator.gateway import auth
from voicesession_operator.gateway.auth import Keys, Oidc
from voicesession_operator.gateway.callers import Caller
from voicesession_operator.gateway.refusal import Kind, Refusal
from voicesession_operator.gateway.settings import OidcSettings

from tests.unit.gateway.asking import ask, token
from tests.unit.gateway.cluster import Cluster
from tests.unit.gateway.conftest import Start

PAGE = "https://shop.example"
KEY = "a-key-of-the-shop-000001"


async def refusal(authenticator: Keys | Oidc, authorization: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await authenticator.caller(authorization)
    return refused.value


async def test_without_a_key_nobody_gets_in(api: Cluster, start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(KEY)
    client = await start(AUTH_MODE="keys", KEYS_DIR=str(tmp_path))
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer a-key-of-nobody-0000"}):
        for method, path in (("POST", "/token"), ("GET", "/api/v1/agents"), ("DELETE", "/api/v1/sessions/x")):
            answer = await ask(client, method, path, {} if method == "POST" else None, **headers)
            assert (answer.status, answer.code, answer.headers["WWW-Authenticate"]) == (
                401,
                "Unauthenticated",
                "Bearer",
            )
    assert api.sessions == {}
    assert (await ask(client, "GET", "/api/v1/agents", Authorization=f"bearer {KEY}")).status == 200


async def test_keys_are_read_again_when_they_change(tmp_path: Path) -> None:
    now = [0.0]
    keys = Keys(tmp_path, lambda: now[0])
    (tmp_path / "shop").write_text(f"{KEY}\nanother-key-of-the-shop\n")
    (tmp_path / "short").write_text("short")
    (tmp_path / "..data").mkdir()
    assert await keys.caller(f"Bearer {KEY}") == Caller("keys:shop")
    assert await keys.caller("Bearer another-key-of-the-shop") == Caller("keys:shop")
    assert (await refusal(keys, "Bearer short")).kind is Kind.UNAUTHENTICATED

    (tmp_path / "shop").write_text("a-new-key-of-the-shop-01")
    now[0] += auth.LOOK_SECONDS
    assert await keys.caller("Bearer a-new-key-of-the-shop-01") == Caller("keys:shop")
    assert "not known" in (await refusal(keys, f"Bearer {KEY}")).message


async def test_keys_that_cannot_be_read_for_a_moment_hold_on(tmp_path: Path) -> None:
    now = [0.0]
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "shop").write_text(KEY)
    keys = Keys(folder, lambda: now[0])
    await keys.caller(f"Bearer {KEY}")
    (folder / "bank").write_bytes(b"\xff" * 20)
    now[0] += auth.LOOK_SECONDS
    assert await keys.caller(f"Bearer {KEY}") == Caller("keys:shop")
    folder.rename(tmp_path / "away")
    now[0] += auth.LOOK_SECONDS
    assert await keys.caller(f"Bearer {KEY}") == Caller("keys:shop")


class Provider:
    """An OpenID provider: discovery, keys, and tokens as they should be, or not."""

    def __init__(self, url: str) -> None:
        self.url, self.key = url, generate_private_key(SECP256R1())
        self.document: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.asked: list[str] = []

    def answer(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path != "/keys":
            return self.document
        jwk = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [jwk | {"kid": "k1", "use": "sig", "alg": "ES256"}]}

    def token(self, kid: str = "k1", key: EllipticCurvePrivateKey | None = None, **claims: Any) -> str:
        told = {"iss": self.url, "aud": "voice", "sub": "alice", "exp": time.time() + 60, **claims}
        left = {name: value for name, value in told.items() if value is not None}
        return "Bearer " + jwt.encode(left, key or self.key, algorithm="ES256", headers={"kid": kid})


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(made.answer(self.path)).encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        made = Provider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def oidc(provider: Provider, **values: str) -> Oidc:
    return Oidc(OidcSettings(issuer=provider.url, audience="voice", **values))


async def test_whom_the_provider_vouches_for_is_let_in(provider: Provider) -> None:
    found = oidc(provider)
    for _ in range(3):
        assert await found.caller(provider.token()) == Caller(f"oidc:{provider.url}:alice", "alice")
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_other_claims_may_say_who_calls_and_for_whom(provider: Provider) -> None:
    found = oidc(provider, jwks_url=f"{provider.url}/keys", caller_claim="azp", user_claim="email")
    caller = await found.caller(provider.token(azp="shop", email="alice@example.com"))
    assert caller == Caller(f"oidc:{provider.url}:shop", "alice@example.com")
    assert provider.asked == ["/keys"]


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "else"}, "another audience"),
        ({"aud": None}, "aud"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "the claim 'sub'"),
        ({"sub": "s" * 254}, "the claim 'sub'"),
        ({"kid": "k2"}, "no such key"),
        ({"key": generate_private_key(SECP256R1())}, "signature is wrong"),
    ],
)
async def test_any_other_token_is_refused(provider: Provider, claims: dict[str, Any], words: str) -> None:
    found = await refusal(oidc(provider), provider.token(**claims))
    assert (found.kind, words in found.message) == (Kind.UNAUTHENTICATED, True), found.message


async def test_a_token_signed_with_a_shared_secret_or_nothing_is_refused(provider: Provider) -> None:
    claims = {"iss": provider.url, "aud": "voice", "sub": "alice", "exp": time.time() + 60}
    secret = jwt.encode(claims, "s" * 32, algorithm="HS256", headers={"kid": "k1"})
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
    for text in (secret, unsigned, "no.token.at-all", ""):
        found = await refusal(oidc(provider), f"Bearer {text}")
        assert found.kind is Kind.UNAUTHENTICATED
        assert text not in found.message or not text


async def test_a_provider_that_is_away_is_not_the_callers_fault(provider: Provider) -> None:
    text = provider.token()
    for settings in ({"jwks_url": "http://127.0.0.1:9/keys"}, {}):
        provider.document = {"issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1:9/"}
        found = await refusal(oidc(provider, **settings), text)
        assert (found.kind, found.status) == (Kind.UNAVAILABLE, 503)


async def test_nor_is_one_whose_keys_cannot_be_read(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda _: "<html>")
    found = await refusal(oidc(provider), "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.e30")
    assert found.kind is Kind.UNAVAILABLE


async def test_with_oidc_the_tokens_user_has_the_session(api: Cluster, start: Start, provider: Provider) -> None:
    client = await start(AUTH_MODE="oidc", OIDC_ISSUER=provider.url, OIDC_AUDIENCE="voice", READY_SECONDS="1")
    body = {"participant_identity": "mallory", "room_config": {"agents": [{"agent_name": "agent-66"}]}}
    await asyncio.gather(token(client, body, Authorization=provider.token()))
    (session,) = api.sessions.values()
    assert session["spec"]["user"] == "alice"


async def test_pages_of_other_origins_are_shut_out(start: Start) -> None:
    client = await start()
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = await ask(client, "OPTIONS", "/token", **asked)
    assert preflight.status == 403
    answer = await token(client, {}, Origin=PAGE)
    assert (answer.status, answer.code) == (403, "OriginNotAllowed")
    assert not [name for name in (*preflight.headers, *answer.headers) if name.startswith("Access-Control")]
    assert answer.headers["Vary"] == "Origin"


async def test_the_gateways_own_page_is_let_in(start: Start) -> None:
    client = await start()
    own = f"http://127.0.0.1:{client.port}"
    assert (await ask(client, "GET", "/api/v1/agents", Origin=own)).status == 200


async def test_an_allowed_origin_may_ask_and_read(start: Start) -> None:
    client = await start(CORS_ORIGINS=f"{PAGE},https://other.example")
    preflight = await ask(client, "OPTIONS", "/token", Origin=PAGE, Access_Control_Request_Method="POST")
    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    refused = await token(client, {}, Origin=PAGE)
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (400, PAGE)
    assert "Voicesession-Name" in refused.headers["Access-Control-Expose-Headers"]
    assert (await ask(client, "GET", "/api/v1/agents", Origin=f"{PAGE}.evil.example")).status == 403


async def test_events_may_be_read_from_there_too(api: Cluster, start: Start) -> None:
    client = await start(CORS_ORIGINS=PAGE)
    name = (await ask(client, "POST", "/api/v1/sessions", {"agent": "agent-66"})).body["name"]
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
async def test_what_is_no_request_is_told_so(start: Start, data: str, kind: str, status: int, code: str) -> None:
    client = await start()
    async with client.post("/token", data=data, headers={"Content-Type": kind}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "NotFound"), ("PUT", "/token", 405, "MethodNotAllowed")],
)
async def test_every_error_has_one_shape(start: Start, method: str, path: str, status: int, code: str) -> None:
    answer = await ask(await start(), method, path)
    assert (answer.status, answer.code) == (status, code)
