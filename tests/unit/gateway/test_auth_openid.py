"""OpenID Connect tokens: validation, key rotation, and outages of the provider."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from voicesession_gateway.auth import OidcTokens
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.jwks import FAILURE_BACKOFF_SECONDS, REFRESH_SECONDS, UNKNOWN_KEY_SECONDS
from voicesession_gateway.naming import Caller
from voicesession_gateway.settings import OidcSettings

from tests.support.fakes import openid_provider
from tests.support.fakes.api_server import FakeApiServer
from tests.support.fakes.openid_provider import Provider
from tests.support.gateway_client import request_token, until
from tests.unit.gateway.conftest import Start


@pytest.fixture
def provider() -> Iterator[Provider]:
    with openid_provider.serving() as provider:
        yield provider


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def oidc(provider: Provider, clock: Clock | None = None, **values: str) -> OidcTokens:
    return OidcTokens(OidcSettings(issuer=provider.url, audience="voice", **values), clock or Clock())


async def refusal(tokens: OidcTokens, authorization: str) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await tokens.authenticate(authorization)
    return refused.value


async def test_oidc_valid_token_is_accepted(provider: Provider) -> None:
    tokens = oidc(provider)
    for _ in range(3):
        assert await tokens.authenticate(provider.token()) == Caller(f"oidc:{provider.url}:alice", "alice")
    assert provider.requested_paths == ["/.well-known/openid-configuration", "/keys"]


async def test_oidc_configured_claims_set_caller_and_user(provider: Provider) -> None:
    tokens = oidc(provider, jwks_url=f"{provider.url}/keys", caller_claim="azp", user_claim="email")
    caller = await tokens.authenticate(provider.token(azp="shop", email="alice@example.com"))
    assert caller == Caller(f"oidc:{provider.url}:shop", "alice@example.com")
    assert provider.requested_paths == ["/keys"]


@pytest.mark.parametrize(
    ("claims", "message"),
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
async def test_oidc_invalid_token_is_refused(provider: Provider, claims: dict[str, Any], message: str) -> None:
    error = await refusal(oidc(provider), provider.token(**claims))
    assert (error.code, message in error.message) == (ErrorCode.UNAUTHENTICATED, True), error.message


async def test_oidc_token_with_shared_secret_or_no_signature_is_refused(provider: Provider) -> None:
    claims = {"iss": provider.url, "aud": "voice", "sub": "alice", "exp": time.time() + 60}
    secret = jwt.encode(claims, "s" * 32, algorithm="HS256", headers={"kid": "k1"})
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
    for text in (secret, unsigned, "no.token.at-all", "\udcff.e30.e30", ""):
        error = await refusal(oidc(provider), f"Bearer {text}")
        assert error.code is ErrorCode.UNAUTHENTICATED
        assert text not in error.message or not text


async def test_oidc_unreachable_provider_returns_503(provider: Provider) -> None:
    text = provider.token()
    for settings in ({"jwks_url": "http://127.0.0.1:9/keys"}, {}):
        provider.document = {"issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1:9/"}
        error = await refusal(oidc(provider, **settings), text)
        assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 503)


async def test_oidc_unreadable_keys_return_503(provider: Provider) -> None:
    provider.has_error_page = True
    error = await refusal(oidc(provider), "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.e30.e30")
    assert error.code is ErrorCode.UNAVAILABLE


async def test_oidc_known_keys_survive_provider_outage(provider: Provider) -> None:
    clock = Clock()
    tokens = oidc(provider, clock)
    alice = await tokens.authenticate(provider.token())
    provider.is_away = True
    clock.now += REFRESH_SECONDS
    assert [await tokens.authenticate(provider.token()) for _ in range(3)] == [alice] * 3
    assert provider.requested_paths.count("/keys") == 2, "a provider that has just failed is left alone"
    clock.now += FAILURE_BACKOFF_SECONDS
    await tokens.authenticate(provider.token())
    assert provider.requested_paths.count("/keys") == 3
    assert (await refusal(tokens, provider.token(kid="k2"))).code is ErrorCode.UNAVAILABLE, "it may be a new key"


async def test_oidc_failed_provider_is_retried_after_backoff(provider: Provider) -> None:
    clock = Clock()
    tokens = oidc(provider, clock, jwks_url=f"{provider.url}/keys")
    provider.is_away = True
    errors = [await refusal(tokens, provider.token()) for _ in range(3)]
    assert [(error.code, error.retry_after) for error in errors] == [
        (ErrorCode.UNAVAILABLE, FAILURE_BACKOFF_SECONDS)
    ] * 3
    assert provider.requested_paths == ["/keys"]
    provider.is_away = False
    clock.now += FAILURE_BACKOFF_SECONDS
    assert (await tokens.authenticate(provider.token())).user == "alice"


async def test_oidc_unknown_key_lookup_delays_no_known_key(provider: Provider) -> None:
    clock = Clock()
    tokens = oidc(provider, clock)
    await tokens.authenticate(provider.token())
    clock.now += REFRESH_SECONDS
    provider.may_answer.clear()
    stranger = asyncio.create_task(refusal(tokens, provider.token(kid="k2")))
    await until(lambda: provider.requested_paths.count("/keys") == 2)
    async with asyncio.timeout(30):
        assert (await tokens.authenticate(provider.token())).user == "alice"
    assert not stranger.done()
    provider.may_answer.set()
    assert (await stranger).code is ErrorCode.UNAUTHENTICATED


async def test_oidc_key_rotation_adds_new_and_removes_old_key(provider: Provider) -> None:
    clock = Clock()
    tokens = oidc(provider, clock)
    await tokens.authenticate(provider.token())
    provider.kid = "k2"
    assert (await refusal(tokens, provider.token(kid="k2"))).code is ErrorCode.UNAUTHENTICATED
    assert provider.requested_paths.count("/keys") == 1, "inventions become no requests"
    clock.now += UNKNOWN_KEY_SECONDS
    assert (await tokens.authenticate(provider.token(kid="k2"))).user == "alice"
    assert (await refusal(tokens, provider.token(kid="k1"))).code is ErrorCode.UNAUTHENTICATED


async def test_oidc_session_belongs_to_user_of_token(api: FakeApiServer, start: Start, provider: Provider) -> None:
    client = await start(AUTH_MODE="oidc", OIDC_ISSUER=provider.url, OIDC_AUDIENCE="voice", READY_SECONDS="1")
    body = {"participant_identity": "mallory", "room_config": {"agents": [{"agent_name": "agent-66"}]}}
    await asyncio.gather(request_token(client, body, Authorization=provider.token()))
    (session,) = api.sessions.values()
    assert session["spec"]["user"] == "alice"
