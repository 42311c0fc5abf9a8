"""Authentication at the control port: the operator's short-lived Ed25519 JWTs for one pod, method, path and body."""

import hashlib
import hmac
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LEEWAY_SECONDS: Final = 60
"""Accepted difference between the clocks of two nodes, in both directions."""
MAX_LIFETIME_SECONDS: Final = 60
"""Twice the lifetime of the operator's tokens; bounds how long a jti must be remembered."""
STATE_PATH: Final = "/v1/state"
"""Path of a token without the claim `htu`, as earlier operators sign it."""
MAX_REMEMBERED: Final = 4096
"""Tokens remembered at once: more than 40 requests per second for the lifetime of a token and the leeway."""


class RefusalReason(StrEnum):
    """Reasons to refuse a request; also the label values of the metric."""

    MISSING = "missing"
    MALFORMED = "malformed"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    LIFETIME = "lifetime"
    METHOD = "method"
    PATH = "path"
    BODY = "body"
    REPLAYED = "replayed"
    BUSY = "busy"


class RefusedError(Exception):
    """The request is not a valid request of the operator."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Verifier:
    """Verifies requests, and remembers the jti of every accepted token, at most `max_remembered`, until it expires."""

    def __init__(
        self,
        public_key: bytes,
        pod_uid: str,
        clock: Callable[[], float] = time.time,
        *,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._public_key = public_key
        self._pod_uid = pod_uid
        self._clock = clock
        self._max_remembered = max_remembered
        self._seen: dict[str, float] = {}

    def check(self, authorization: str | None, method: str, path: str, body: bytes) -> None:
        """Raise RefusedError unless `authorization` is `Bearer <JWT>` made for exactly this request."""
        claims = self._claims(authorization)
        now = self._clock()
        if now > claims["exp"] + LEEWAY_SECONDS or claims["iat"] > now + LEEWAY_SECONDS:
            raise RefusedError(RefusalReason.EXPIRED)
        if claims["exp"] - claims["iat"] > MAX_LIFETIME_SECONDS:
            raise RefusedError(RefusalReason.LIFETIME)
        if claims.get("htm") != method:
            raise RefusedError(RefusalReason.METHOD)
        if claims.get("htu", STATE_PATH) != path:
            raise RefusedError(RefusalReason.PATH)
        if not hmac.compare_digest(str(claims.get("sha256")), hashlib.sha256(body).hexdigest()):
            raise RefusedError(RefusalReason.BODY)
        self._remember(str(claims["jti"]), claims["exp"] + LEEWAY_SECONDS, now)

    def _claims(self, authorization: str | None) -> dict[str, Any]:
        if not authorization:
            raise RefusedError(RefusalReason.MISSING)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise RefusedError(RefusalReason.MALFORMED)

        return claims(token, self._public_key, self._pod_uid)

    def _remember(self, jti: str, until: float, now: float) -> None:
        self._seen = {seen: expiry for seen, expiry in self._seen.items() if expiry >= now}
        if jti in self._seen:
            raise RefusedError(RefusalReason.REPLAYED)
        if len(self._seen) >= self._max_remembered:
            raise RefusedError(RefusalReason.BUSY)
        self._seen[jti] = until


def claims(token: str, public_key: bytes, audience: str) -> dict[str, Any]:
    """Return the claims of an Ed25519 JWT for `audience`; iat and exp are numbers, and their times are not checked.

    Raises RefusedError.
    """
    try:
        return _decode(token, Ed25519PublicKey.from_public_bytes(public_key), audience)
    except jwt.InvalidSignatureError as error:
        raise RefusedError(RefusalReason.SIGNATURE) from error
    except jwt.InvalidAudienceError as error:
        raise RefusedError(RefusalReason.AUDIENCE) from error
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise RefusedError(RefusalReason.MALFORMED) from error


def _decode(token: str, key: Ed25519PublicKey, audience: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(
        token,
        key=key,
        algorithms=["EdDSA"],
        audience=audience,
        options={"require": ["aud", "iat", "exp", "jti"], "verify_exp": False, "verify_iat": False},
    )
    if not all(isinstance(decoded[name], int | float) for name in ("iat", "exp")):
        raise TypeError("iat and exp are numbers")
    return decoded
