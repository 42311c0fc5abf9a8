"""Authentication of callers: anonymous, by API key, or by a token of an OpenID provider."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import jwt

from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.jwks import FAILURE_BACKOFF_SECONDS, JwksCache
from voicesession_gateway.naming import ANONYMOUS, Caller
from voicesession_gateway.settings import OidcSettings

log = logging.getLogger(__name__)

BEARER: Final = "bearer "
CHECK_SECONDS: Final = 1.0
"""Shortest interval between two checks of the key directory."""
KEY_CHARACTERS: Final = 16
"""Shorter keys could be guessed."""
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Public-key algorithms only: with a shared secret, every party that verifies tokens could also sign them."""
LEEWAY_SECONDS: Final = 30
CLAIM_CHARACTERS: Final = 253


class Authenticator(Protocol):
    """Maps an Authorization header to a caller."""

    async def authenticate(self, authorization: str) -> Caller:
        """Return the caller. Raises ApiError."""


class Anonymous:
    """Treats all requests as one caller; for development on one machine."""

    async def authenticate(self, _: str) -> Caller:
        """Return the anonymous caller."""
        return ANONYMOUS


class ApiKeys:
    """API keys in a directory mounted from a Secret: each file is a caller and holds its keys, one per line.

    The files are read again when they change. Keys are compared by their hashes, so timing reveals nothing about them.
    """

    def __init__(self, directory: Path, monotonic: Callable[[], float]) -> None:
        self._directory, self._monotonic = directory, monotonic
        self._checked_at = float("-inf")
        self._seen: tuple[object, ...] | None = None
        self._callers: dict[bytes, str] = {}

    async def authenticate(self, authorization: str) -> Caller:
        """Return the owner of the key. Raises ApiError."""
        self._refresh()
        name = self._callers.get(_hash(_bearer(authorization)))
        if name is None:
            raise _unauthenticated("this key is unknown")
        return Caller(f"keys:{name}")

    def _refresh(self) -> None:
        now = self._monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            files = sorted(path for path in self._directory.iterdir() if path.is_file())
            stats = [(path, path.stat()) for path in files]
            seen = tuple((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in stats)
            if seen != self._seen:
                self._seen, self._callers = seen, dict(_read_keys(files))
                log.info("API keys read", extra={"callers": len(set(self._callers.values()))})
        except (OSError, UnicodeError) as error:
            message = "API keys cannot be read; the previous keys stay valid"
            log.error(message, extra={"error": type(error).__name__})


class OidcTokens:
    """Tokens of an OpenID provider: signature, issuer, audience and expiry are checked, claims name caller and user."""

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float]) -> None:
        self._settings, self._keys = settings, JwksCache(settings, monotonic)

    async def authenticate(self, authorization: str) -> Caller:
        """Return the caller and user named in the token's claims. Raises ApiError."""
        claims = await self._claims(_bearer(authorization))
        caller, user = (_claim(claims, name) for name in (self._settings.caller_claim, self._settings.user_claim))
        return Caller(f"oidc:{self._settings.issuer}:{caller}", user)

    async def _claims(self, token: str) -> dict[str, Any]:
        """Return the verified claims. Raises ApiError."""
        settings = self._settings
        try:
            key = await self._keys.get(str(jwt.get_unverified_header(token).get("kid")))
            return jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", settings.caller_claim, settings.user_claim]},
            )
        except jwt.PyJWKClientConnectionError as error:
            message = "the identity provider does not answer"
            raise ApiError(ErrorCode.UNAVAILABLE, message, retry_after=FAILURE_BACKOFF_SECONDS) from error
        except (jwt.PyJWTError, ValueError) as error:  # ValueError: the text cannot be a token at all
            raise _unauthenticated(f"this token is not accepted: {_explain(error)}") from error


def _read_keys(files: list[Path]) -> list[tuple[bytes, str]]:
    """Return hash and caller of every key."""
    found = []
    for path in files:
        for key in path.read_text().split():
            if len(key) < KEY_CHARACTERS:
                log.error("API key too short, ignored", extra={"caller": path.name, "characters": KEY_CHARACTERS})
            else:
                found.append((_hash(key), path.name))
    return found


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _bearer(authorization: str) -> str:
    if not authorization.lower().startswith(BEARER):
        raise _unauthenticated("send the header Authorization: Bearer with a key or token")
    return authorization[len(BEARER) :].strip()


def _claim(claims: dict[str, Any], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str) or not 0 < len(value) <= CLAIM_CHARACTERS:
        raise _unauthenticated(f"the claim {name!r} is not a string of 1 to {CLAIM_CHARACTERS} characters")
    return value


def _explain(error: Exception) -> str:
    """Return the library's reason in plain words, without any part of the token."""
    known: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
        (jwt.ExpiredSignatureError, "it has expired"),
        (jwt.InvalidIssuerError, "another issuer"),
        (jwt.InvalidAudienceError, "another audience"),
        (jwt.InvalidAlgorithmError, "another algorithm"),
        (jwt.InvalidSignatureError, "the signature is wrong"),
        (jwt.MissingRequiredClaimError, str(error)),
        (jwt.PyJWKClientError, "the provider has no such key"),
    )
    return next((text for kind, text in known if isinstance(error, kind)), "it is malformed")


def _unauthenticated(message: str) -> ApiError:
    return ApiError(ErrorCode.UNAUTHENTICATED, message)
