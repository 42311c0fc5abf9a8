"""Memory backend for Letta 0.16.8, over its REST API."""

import json
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from voicesession_agent.memory.backend import (
    Block,
    MemoryAddress,
    RejectedError,
    Remark,
    Turn,
    UnavailableError,
    UncertainError,
    WriteConflictError,
)

CONNECT_SECONDS: Final = 0.5
CALL_SECONDS: Final = 5.0
"""A healthy Letta responds within 0.1 s, a loaded one within 2 s."""
MAX_ANSWER_BYTES: Final = 4 << 20
SEARCH_LIMIT: Final = 20
"""Remarks of one search; the agent says a few of them."""
ROLES: Final = ("user", "assistant")
CLIENT_ERROR, SERVER_ERROR, CONFLICT = 400, 500, 409
LATER: Final = frozenset((401, 403, 404, 408, 429, 503))
"""Status codes of temporary failures.

A wrong key or a deleted Letta agent is corrected outside this pod, which then gets another address.
"""


class LettaBackend:
    """Memory of one Letta agent.

    Letta's /v1/health/ is not used: it returns 200 while the database is down.
    """

    def __init__(
        self,
        address: MemoryAddress,
        session: aiohttp.ClientSession,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        call_seconds: float = CALL_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._agent = f"{address.base_url.rstrip('/')}/v1/agents/{address.agent_id}"
        self._headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=call_seconds, sock_connect=connect_seconds)
        self._max_answer_bytes = max_answer_bytes

    async def load_blocks(self) -> tuple[Block, ...]:
        """Return the agent's blocks. Raise MemoryBackendError."""
        answer = await self._call("GET", self._agent, params={"include": "agent.blocks"})
        try:
            return tuple(_block(raw) for raw in json.loads(answer).get("blocks") or ())
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise RejectedError("Letta's answer has no blocks that can be read") from error

    async def capture(self, turn: Turn) -> None:
        """Post a turn for Letta's sleep-time agent. Raise MemoryBackendError."""
        body = {
            "provider": "voicesession",
            "model": "voicesession",
            "request_messages": [{"role": "user", "content": turn.user}],
            "response_dict": {"content": turn.assistant},
        }
        await self._call("POST", f"{self._agent}/messages/capture", json=body)

    async def write(self, label: str, value: str) -> None:
        """Replace the value of a block. Raise MemoryBackendError."""
        await self._call("PATCH", f"{self._agent}/core-memory/blocks/{quote(label, safe='')}", json={"value": value})

    async def search(self, words: str) -> tuple[Remark, ...]:
        """Search the captured turns with the Letta agent's own tool. Raise MemoryBackendError.

        Letta's endpoints for searches need a paid service. Without embeddings this tool compares parts of texts.
        """
        arguments = {"query": words, "roles": ROLES, "limit": SEARCH_LIMIT}
        answer = await self._call("POST", f"{self._agent}/tools/conversation_search/run", json={"args": arguments})
        try:
            found = json.loads(answer)["func_return"]["results"]
            return tuple(_remark(raw) for raw in found if raw["role"] in ROLES and isinstance(raw.get("content"), str))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise RejectedError("Letta's answer has no remarks that can be read") from error

    async def _call(self, method: str, url: str, **arguments: Any) -> bytes:
        """Send a request and return the response body. A response with a success status completes the call."""
        try:
            async with self._session.request(
                method, url, headers=self._headers, timeout=self._timeout, **arguments
            ) as answer:
                _raise_for_status(answer.status)
                return await _read_body(answer.content, self._max_answer_bytes)
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError("Letta does not answer") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise UnavailableError("Letta does not answer") from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise UncertainError("Letta did not answer in time") from error


async def _read_body(body: aiohttp.StreamReader, max_bytes: int) -> bytes:
    """Return the whole body; `read(n)` may return only the first part of a body that arrives in several parts.

    Raise UncertainError for a longer body than `max_bytes`.
    """
    parts = bytearray()
    async for part in body.iter_any():
        parts += part
        if len(parts) > max_bytes:
            raise UncertainError("Letta's answer is too long")
    return bytes(parts)


def _raise_for_status(status: int) -> None:
    """Raise the error of an HTTP status. Letta may have stored the turn before a 500, or a proxy's 502 or 504."""
    if status == CONFLICT:
        raise WriteConflictError(f"Letta answers {status}")
    if status in LATER:
        raise UnavailableError(f"Letta answers {status}")
    if status >= SERVER_ERROR:
        raise UncertainError(f"Letta answers {status}")
    if status >= CLIENT_ERROR:
        raise RejectedError(f"Letta answers {status}")


def _block(raw: dict[str, Any]) -> Block:
    """Return a block of Letta's answer. Raise KeyError, TypeError or ValueError if it is malformed."""
    return Block(
        label=_text(raw["label"]),
        value=_text(raw["value"]),
        description=_text(raw.get("description") or ""),
        limit=int(raw.get("limit") or 0),
        read_only=bool(raw.get("read_only")),
    )


def _remark(raw: dict[str, Any]) -> Remark:
    """Return a remark of Letta's answer. Raise KeyError or TypeError if it is malformed."""
    return Remark(_text(raw["timestamp"]), raw["role"], _text(raw["content"]))


def _text(raw: object) -> str:
    """Return the text, without lone surrogates, which no provider can encode. Raise TypeError for another type."""
    if not isinstance(raw, str):
        raise TypeError("not a text")
    return raw.encode("utf-8", "replace").decode("utf-8")
