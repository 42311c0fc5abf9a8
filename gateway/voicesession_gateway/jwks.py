"""The keys that an OpenID provider signs with: read when they are needed, and held on to while it does not answer."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import jwt

from voicesession_gateway.settings import OidcSettings

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 5
FRESH_SECONDS: Final = 300.0
"""After that they are read again: the provider may have taken one back."""
UNKNOWN_SECONDS: Final = 30.0
"""For so long a key that is not among them is believed not to exist, so that nobody's inventions become requests."""
FAILED_SECONDS: Final = 10.0
"""For so long a provider that did not answer is left alone."""
DISCOVERY: Final = "/.well-known/openid-configuration"


class ProviderKeys:
    """One issuer's keys. While they are read, only those wait whose key is not known. `monotonic` is in seconds."""

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float]) -> None:
        self._issuer, self._uri, self._monotonic = settings.issuer, settings.jwks_url, monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._failed = False
        self._read_at = self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def key(self, name: str) -> jwt.PyJWK:
        """By its `kid`. Raises PyJWKClientConnectionError while it is not known whether there is such a key,
        PyJWKClientError when there is none.
        """
        if self._is_due(name) and not (name in self._keys and self._reading.locked()):
            async with self._reading:
                if self._is_due(name):
                    await self._read()
        found = self._keys.get(name)
        if found is not None:
            return found
        if self._failed:
            raise jwt.PyJWKClientConnectionError("no answer")
        raise jwt.PyJWKClientError("no such key")

    def _is_due(self, name: str) -> bool:
        now = self._monotonic()
        if self._failed and now - self._tried_at < FAILED_SECONDS:
            return False
        return now - self._read_at >= (FRESH_SECONDS if name in self._keys else UNKNOWN_SECONDS)

    async def _read(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._fetched)
            self._failed, self._read_at = False, self._monotonic()
        except (jwt.PyJWTError, OSError, ValueError) as error:  # no answer, none that is JSON, or none with keys
            self._failed = True
            log.warning("the identity provider gives no keys: those known before hold on", extra=_about(error))
        finally:
            self._tried_at = self._monotonic()

    def _fetched(self) -> dict[str, jwt.PyJWK]:
        """Blocks. Raises PyJWTError, OSError or ValueError."""
        if not self._uri:
            self._uri = self._discovered()
        return {str(key.key_id): key for key in _client(self._uri).get_signing_keys()}

    def _discovered(self) -> str:
        """The library's own client fetches the document: it follows no redirects and reads http(s) only."""
        document = _client(self._issuer.rstrip("/") + DISCOVERY).fetch_data()
        uri = document.get("jwks_uri")
        if document.get("issuer") != self._issuer or not isinstance(uri, str):
            log.error("the identity provider's discovery document is another issuer's, or names no keys")
            raise jwt.PyJWKClientConnectionError("no jwks_uri")
        return uri


def _client(uri: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(uri, cache_jwk_set=False, timeout=ANSWER_SECONDS)


def _about(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__}
