"""Authentication of requests at the control port."""

import hashlib
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from voicesession_agent.supervisor.control_auth import RefusalReason, RefusedError, Verifier

KEY = Ed25519PrivateKey.generate()
RAW = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
NOW = 1_000_000.0
BODY = b'{"a": 1}'
PATH = "/v1/state"


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(RAW, "pod-1", clock=lambda: NOW)


def bearer(key: Ed25519PrivateKey = KEY, **change: Any) -> str:
    claims = {
        "aud": "pod-1",
        "iat": int(NOW),
        "exp": int(NOW) + 30,
        "jti": "j1",
        "htm": "PUT",
        "sha256": hashlib.sha256(BODY).hexdigest(),
    }
    kept = {name: value for name, value in (claims | change).items() if value is not None}
    return "Bearer " + jwt.encode(kept, key, algorithm="EdDSA")


def test_check_with_valid_token_passes(verifier: Verifier) -> None:
    verifier.check(bearer(), "PUT", PATH, BODY)
    verifier.check(bearer(jti="j2"), "PUT", PATH, BODY)


def test_check_with_replayed_token_raises(verifier: Verifier) -> None:
    verifier.check(bearer(), "PUT", PATH, BODY)
    with pytest.raises(RefusedError, match="replayed"):
        verifier.check(bearer(), "PUT", PATH, BODY)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, RefusalReason.MISSING),
        ("", RefusalReason.MISSING),
        ("Basic abc", RefusalReason.MALFORMED),
        ("Bearer abc", RefusalReason.MALFORMED),
        (bearer(Ed25519PrivateKey.generate()), RefusalReason.SIGNATURE),
        ("Bearer " + jwt.encode({"aud": "pod-1"}, "s" * 32, algorithm="HS256"), RefusalReason.MALFORMED),
        ("Bearer " + jwt.encode({"aud": "pod-1"}, "", algorithm="none"), RefusalReason.MALFORMED),
        (bearer(aud="pod-2"), RefusalReason.AUDIENCE),
        (bearer(aud=None), RefusalReason.MALFORMED),
        (bearer(jti=None), RefusalReason.MALFORMED),
        (bearer(exp="soon"), RefusalReason.MALFORMED),
        (bearer(iat=int(NOW) - 91, exp=int(NOW) - 61), RefusalReason.EXPIRED),
        (bearer(iat=int(NOW) + 61, exp=int(NOW) + 91), RefusalReason.EXPIRED),
        (bearer(exp=int(NOW) + 3600), RefusalReason.LIFETIME),
        (bearer(htm="GET"), RefusalReason.METHOD),
        (bearer(htm=None), RefusalReason.METHOD),
        (bearer(htu="/v1/conversation"), RefusalReason.PATH),
        (bearer(sha256=hashlib.sha256(b"other").hexdigest()), RefusalReason.BODY),
        (bearer(sha256=None), RefusalReason.BODY),
    ],
    ids=(
        "no header",
        "empty",
        "other scheme",
        "no token",
        "another key",
        "symmetric",
        "unsigned",
        "another pod",
        "no audience",
        "no id",
        "expiry no number",
        "expired",
        "from the future",
        "lives too long",
        "another method",
        "no method",
        "another path",
        "another body",
        "no digest",
    ),
)
def test_check_with_invalid_token_raises(verifier: Verifier, header: str | None, reason: RefusalReason) -> None:
    with pytest.raises(RefusedError) as caught:
        verifier.check(header, "PUT", PATH, BODY)
    assert caught.value.reason is reason


def test_clocks_a_minute_apart_pass(verifier: Verifier) -> None:
    verifier.check(bearer(iat=int(NOW) + 60, exp=int(NOW) + 90), "PUT", PATH, BODY)
    verifier.check(bearer(jti="j2", iat=int(NOW) - 60, exp=int(NOW) - 30), "PUT", PATH, BODY)


def test_seen_tokens_are_bounded() -> None:
    now = [NOW]
    verifier = Verifier(RAW, "pod-1", clock=lambda: now[0], max_remembered=2)
    for jti in ("j1", "j2"):
        verifier.check(bearer(jti=jti), "PUT", PATH, BODY)
    with pytest.raises(RefusedError, match="busy"):
        verifier.check(bearer(jti="j3"), "PUT", PATH, BODY)
    now[0] = NOW + 91
    verifier.check(bearer(jti="j1", iat=int(NOW) + 91, exp=int(NOW) + 121), "PUT", PATH, BODY)


def test_token_without_path_is_for_state_only(verifier: Verifier) -> None:
    with pytest.raises(RefusedError, match="path"):
        verifier.check(bearer(), "PUT", "/v1/conversation", BODY)
    verifier.check(bearer(jti="j2", htu="/v1/conversation"), "PUT", "/v1/conversation", BODY)
