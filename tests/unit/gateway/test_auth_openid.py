"""Tokens of an OpenID provider: which are taken, and what happens while it does not answer."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from voicesession_gateway.auth import Oidc
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.jwks import FAILED_SECONDS, FRESH_SECONDS, UNKNOWN_SECONDS
from voicesession_gateway.naming import Caller
from voicesession_gateway.settings import OidcSettings

from tests.support.fakes import openid_provider
from tests.support.fakes.api_server import Cluster
from tests.support.fakes.openid_provider import Provider
from tests.support.gateway_client import token, until
from tests.unit.gateway.conftest import Start


@pytest.fixture
def provider() -> Iterator[Provider]:
    with openid_provider.serving() as made:
        yield made


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def oidc(provider: Provider, clock: Clock | None = None, **values: str) -> Oidc:
    return Oidc(OidcSettings(issuer=provider.url, audience="voice", **values), clock or Clock())


async def refusal(found: Oidc, authorization: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await found.caller(authorization)
    return refused.value


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
    for text in (secret, unsigned, "no.token.at-all", "\udcff.e30.e30", ""):
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


async def test_keys_that_are_known_hold_on_while_the_provider_is_away(provider: Provider) -> None:
    clock = Clock()
    found = oidc(provider, clock)
    alice = await found.caller(provider.token())
    provider.is_away = True
    clock.now += FRESH_SECONDS
    assert [await found.caller(provider.token()) for _ in range(3)] == [alice] * 3
    assert provider.asked.count("/keys") == 2, "a provider that has just failed is left alone"
    clock.now += FAILED_SECONDS
    await found.caller(provider.token())
    assert provider.asked.count("/keys") == 3
    assert (await refusal(found, provider.token(kid="k2"))).kind is Kind.UNAVAILABLE, "it may be a new key"


async def test_a_provider_that_has_never_answered_is_asked_again_after_a_while(provider: Provider) -> None:
    clock = Clock()
    found = oidc(provider, clock, jwks_url=f"{provider.url}/keys")
    provider.is_away = True
    refused = [await refusal(found, provider.token()) for _ in range(3)]
    assert [(one.kind, one.retry_after) for one in refused] == [(Kind.UNAVAILABLE, FAILED_SECONDS)] * 3
    assert provider.asked == ["/keys"]
    provider.is_away = False
    clock.now += FAILED_SECONDS
    assert (await found.caller(provider.token())).user == "alice"


async def test_nobody_whose_key_is_known_waits_while_another_one_is_looked_for(provider: Provider) -> None:
    clock = Clock()
    found = oidc(provider, clock)
    await found.caller(provider.token())
    clock.now += FRESH_SECONDS
    provider.may_answer.clear()
    stranger = asyncio.create_task(refusal(found, provider.token(kid="k2")))
    await until(lambda: provider.asked.count("/keys") == 2)
    async with asyncio.timeout(2):
        assert (await found.caller(provider.token())).user == "alice"
    assert not stranger.done()
    provider.may_answer.set()
    assert (await stranger).kind is Kind.UNAUTHENTICATED


async def test_a_new_key_is_found_and_one_that_was_taken_back_is_no_more(provider: Provider) -> None:
    clock = Clock()
    found = oidc(provider, clock)
    await found.caller(provider.token())
    provider.kid = "k2"
    assert (await refusal(found, provider.token(kid="k2"))).kind is Kind.UNAUTHENTICATED
    assert provider.asked.count("/keys") == 1, "inventions become no requests"
    clock.now += UNKNOWN_SECONDS
    assert (await found.caller(provider.token(kid="k2"))).user == "alice"
    assert (await refusal(found, provider.token(kid="k1"))).kind is Kind.UNAUTHENTICATED


async def test_with_oidc_the_tokens_user_has_the_session(api: Cluster, start: Start, provider: Provider) -> None:
    client = await start(AUTH_MODE="oidc", OIDC_ISSUER=provider.url, OIDC_AUDIENCE="voice", READY_SECONDS="1")
    body = {"participant_identity": "mallory", "room_config": {"agents": [{"agent_name": "agent-66"}]}}
    await asyncio.gather(token(client, body, Authorization=provider.token()))
    (session,) = api.sessions.values()
    assert session["spec"]["user"] == "alice"
