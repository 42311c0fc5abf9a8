"""Signing keys of the OpenID provider: read on demand, and kept while the provider does not answer."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import jwt

from voicesession_gateway.settings import OidcSettings

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 5
REFRESH_SECONDS: Final = 300.0
"""Read the keys again after this time, because the provider may have revoked one."""
UNKNOWN_KEY_SECONDS: Final = 30.0
"""Shortest interval between two reads for unknown key ids, so that invented ids cannot flood the provider."""
FAILURE_BACKOFF_SECONDS: Final = 10.0
"""Pause after a failed read."""
DISCOVERY: Final = "/.well-known/openid-configuration"


class JwksCache:
    """Keys of one issuer. During a read, only requests with an unknown key wait. `monotonic` returns seconds."""

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float]) -> None:
        self._issuer, self._uri, self._monotonic = settings.issuer, settings.jwks_url, monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._failed = False
        self._read_at = self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def get(self, key_id: str) -> jwt.PyJWK:
        """Return the key with this `kid`.

        Raises PyJWKClientConnectionError if the provider does not answer and the key is unknown, and
        PyJWKClientError if the provider has no such key.
        """
        if self._needs_refresh(key_id) and not (key_id in self._keys and self._reading.locked()):
            async with self._reading:
                if self._needs_refresh(key_id):
                    await self._refresh()
        found = self._keys.get(key_id)
        if found is not None:
            return found
        if self._failed:
            raise jwt.PyJWKClientConnectionError("no answer")
        raise jwt.PyJWKClientError("no such key")

    def _needs_refresh(self, key_id: str) -> bool:
        now = self._monotonic()
        if self._failed and now - self._tried_at < FAILURE_BACKOFF_SECONDS:
            return False
        return now - self._read_at >= (REFRESH_SECONDS if key_id in self._keys else UNKNOWN_KEY_SECONDS)

    async def _refresh(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._fetch)
            self._failed, self._read_at = False, self._monotonic()
        except (jwt.PyJWTError, OSError, ValueError) as error:  # no answer, not JSON, or no keys
            self._failed = True
            message = "the identity provider returns no keys; the previous keys stay valid"
            log.warning(message, extra={"error": type(error).__name__})
        finally:
            self._tried_at = self._monotonic()

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        """Fetch the keys, blocking. Raises PyJWTError, OSError or ValueError."""
        if not self._uri:
            self._uri = self._discover()
        return {str(key.key_id): key for key in _client(self._uri).get_signing_keys()}

    def _discover(self) -> str:
        """Return the key URL of the discovery document.

        The document is fetched with PyJWT's own client, which follows no redirects and reads only http(s).
        """
        document = _client(self._issuer.rstrip("/") + DISCOVERY).fetch_data()
        uri = document.get("jwks_uri")
        if document.get("issuer") != self._issuer or not isinstance(uri, str):
            log.error("the identity provider's discovery document names another issuer or no key URL")
            raise jwt.PyJWKClientConnectionError("no jwks_uri")
        return uri


def _client(uri: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(uri, cache_jwk_set=False, timeout=TIMEOUT_SECONDS)
