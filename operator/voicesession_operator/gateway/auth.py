"""Who calls: nobody in particular, the holder of a key, or whom an OpenID provider vouches for."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import jwt

from voicesession_operator.gateway.callers import ANONYMOUS, Caller
from voicesession_operator.gateway.refusal import Kind, Refusal
from voicesession_operator.gateway.settings import OidcSettings

log = logging.getLogger(__name__)

BEARER: Final = "bearer "
LOOK_SECONDS: Final = 1.0
"""How often the directory of keys is looked at, at most."""
KEY_CHARACTERS: Final = 16
"""A shorter key could be guessed."""
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key: a secret that both sides know would make everybody who checks tokens able to sign them."""
LEEWAY_SECONDS: Final = 30
PROVIDER_SECONDS: Final = 5
DISCOVERY: Final = "/.well-known/openid-configuration"
CLAIM_CHARACTERS: Final = 253


class Authenticator(Protocol):
    async def caller(self, authorization: str) -> Caller:
        """Whose request it is, by its Authorization header. Raises Refusal."""


class Anonymous:
    """Everybody is the same caller: for one's own machine."""

    async def caller(self, _: str) -> Caller:
        return ANONYMOUS


class Keys:
    """A directory, mounted from a Secret: each file is a caller and holds her keys, one a line.

    Read again when it changes. Keys are compared by their hashes, which tell nothing by the time that takes.
    """

    def __init__(self, directory: Path, monotonic: Callable[[], float]) -> None:
        self._directory, self._monotonic = directory, monotonic
        self._looked_at = float("-inf")
        self._seen: tuple[object, ...] | None = None
        self._callers: dict[bytes, str] = {}

    async def caller(self, authorization: str) -> Caller:
        self._refresh()
        name = self._callers.get(_hash(_bearer(authorization)))
        if name is None:
            raise _unauthenticated("this key is not known")
        return Caller(f"keys:{name}")

    def _refresh(self) -> None:
        now = self._monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            files = sorted(path for path in self._directory.iterdir() if path.is_file())
            stats = [(path, path.stat()) for path in files]
            seen = tuple((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in stats)
            if seen != self._seen:
                self._seen, self._callers = seen, dict(_keys(files))
                log.info("keys read", extra={"callers": len(set(self._callers.values()))})
        except (OSError, UnicodeError) as error:
            log.error("the keys cannot be read: those known before hold on", extra={"error": type(error).__name__})


class Oidc:
    """Signed by the provider, for our audience, not expired; a claim says who calls and another one for whom."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._client: jwt.PyJWKClient | None = None

    async def caller(self, authorization: str) -> Caller:
        claims = await asyncio.to_thread(self._claims, _bearer(authorization))
        caller, user = (_claim(claims, name) for name in (self._settings.caller_claim, self._settings.user_claim))
        return Caller(f"oidc:{self._settings.issuer}:{caller}", user)

    def _claims(self, token: str) -> dict[str, Any]:
        """Blocks while the provider's keys are fetched. Raises Refusal."""
        settings = self._settings
        try:
            key = self._provider().get_signing_key_from_jwt(token)
            return jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", settings.caller_claim, settings.user_claim]},
            )
        except (jwt.PyJWKClientConnectionError, ValueError) as error:  # no answer, or none that is JSON
            log.warning("the identity provider does not answer")
            raise Refusal(Kind.UNAVAILABLE, "the identity provider does not answer", retry_after=1.0) from error
        except jwt.PyJWTError as error:
            raise _unauthenticated(f"this token is not accepted: {_words(error)}") from error

    def _provider(self) -> jwt.PyJWKClient:
        """Raises PyJWKClientConnectionError."""
        if self._client is None:
            uri = self._settings.jwks_url or self._discovered()
            self._client = jwt.PyJWKClient(uri, timeout=PROVIDER_SECONDS)
        return self._client

    def _discovered(self) -> str:
        """The library's own client fetches the document: it follows no redirects and reads http(s) only."""
        document = jwt.PyJWKClient(
            self._settings.issuer.rstrip("/") + DISCOVERY, cache_jwk_set=False, timeout=PROVIDER_SECONDS
        ).fetch_data()
        uri = document.get("jwks_uri")
        if document.get("issuer") != self._settings.issuer or not isinstance(uri, str):
            log.error("the identity provider's discovery document is another issuer's, or names no keys")
            raise jwt.PyJWKClientConnectionError("no jwks_uri")
        return uri


def _keys(files: list[Path]) -> list[tuple[bytes, str]]:
    """Hash and caller of every key."""
    found = []
    for path in files:
        for key in path.read_text().split():
            if len(key) < KEY_CHARACTERS:
                log.error("a key is too short and ignored", extra={"caller": path.name, "characters": KEY_CHARACTERS})
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
    found = claims[name]
    if not isinstance(found, str) or not 0 < len(found) <= CLAIM_CHARACTERS:
        raise _unauthenticated(f"the claim {name!r} is no string of at most {CLAIM_CHARACTERS} characters")
    return found


def _words(error: jwt.PyJWTError) -> str:
    """What the library says about the token; never the token."""
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


def _unauthenticated(message: str) -> Refusal:
    return Refusal(Kind.UNAUTHENTICATED, message)
