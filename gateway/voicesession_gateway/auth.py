"""Who calls: nobody in particular, the holder of a key, or whom an OpenID provider vouches for."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import jwt

from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.jwks import FAILED_SECONDS, ProviderKeys
from voicesession_gateway.naming import ANONYMOUS, Caller
from voicesession_gateway.settings import OidcSettings

log = logging.getLogger(__name__)

BEARER: Final = "bearer "
LOOK_SECONDS: Final = 1.0
"""How often the directory of keys is looked at, at most."""
KEY_CHARACTERS: Final = 16
"""A shorter key could be guessed."""
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key: a secret that both sides know would make everybody who checks tokens able to sign them."""
LEEWAY_SECONDS: Final = 30
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

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float]) -> None:
        self._settings, self._keys = settings, ProviderKeys(settings, monotonic)

    async def caller(self, authorization: str) -> Caller:
        claims = await self._claims(_bearer(authorization))
        caller, user = (_claim(claims, name) for name in (self._settings.caller_claim, self._settings.user_claim))
        return Caller(f"oidc:{self._settings.issuer}:{caller}", user)

    async def _claims(self, token: str) -> dict[str, Any]:
        """Raises Refusal."""
        settings = self._settings
        try:
            key = await self._keys.key(str(jwt.get_unverified_header(token).get("kid")))
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
            raise Refusal(
                Kind.UNAVAILABLE, "the identity provider does not answer", retry_after=FAILED_SECONDS
            ) from error
        except (jwt.PyJWTError, ValueError) as error:  # a ValueError: no text that could be a token
            raise _unauthenticated(f"this token is not accepted: {_words(error)}") from error


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


def _words(error: Exception) -> str:
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
