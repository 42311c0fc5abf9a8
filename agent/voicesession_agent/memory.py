"""The memory behind one small interface (load blocks, capture a turn); Letta 0.16.8 is its backend today."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp

from voicesession_agent.wanted import MemoryAddress

CONNECT_SECONDS: Final = 0.5
CALL_SECONDS: Final = 5.0
"""A healthy Letta answers within 0.1 s, a loaded one within 2 s."""
MAX_ANSWER_BYTES: Final = 4 << 20
CLIENT_ERROR, SERVER_ERROR, TOO_MANY, CONFLICT = 400, 500, 429, 409


@dataclass(frozen=True)
class Block:
    label: str
    value: str
    description: str = ""


@dataclass(frozen=True)
class Turn:
    """What a human said and what the agent actually spoke (shorter than planned when it was interrupted)."""

    user: str = field(repr=False)
    assistant: str = field(repr=False)


class MemoryBackendError(Exception):
    """Base of what a backend raises; the message is stable, short and free of content."""


class UnavailableError(MemoryBackendError):
    """Nothing was stored; the same call may work later."""


class UncertainError(MemoryBackendError):
    """The answer did not come, so the turn may be stored; sending it again could store it twice."""


class RejectedError(MemoryBackendError):
    """The backend will never take this call."""


class MemoryBackend(Protocol):
    async def load_blocks(self) -> tuple[Block, ...]:
        """The current blocks; reads the backend's database, so it tells health too. Raise MemoryBackendError."""

    async def capture(self, turn: Turn) -> None:
        """Store one finished turn, in the order of the calls. Raise MemoryBackendError."""


def digest(blocks: Sequence[Block]) -> str:
    """Hex hash of what the prompt shows; Letta's blocks carry no version."""
    shown = json.dumps([(b.label, b.description, b.value) for b in blocks])
    return hashlib.sha256(shown.encode()).hexdigest()


class LettaMemory:
    """A Letta server's REST interface. Its /v1/health/ stays 200 while its database is down and is not used."""

    def __init__(self, address: MemoryAddress, session: aiohttp.ClientSession) -> None:
        self._agent = f"{address.base_url.rstrip('/')}/v1/agents/{address.agent_id}"
        self._headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        self._session = session

    async def load_blocks(self) -> tuple[Block, ...]:
        answer = await self._call("GET", self._agent, params={"include": "agent.blocks"})
        try:
            return tuple(_block(raw) for raw in answer.get("blocks") or ())
        except (AttributeError, KeyError, TypeError) as error:
            raise RejectedError("Letta's answer has no blocks that can be read") from error

    async def capture(self, turn: Turn) -> None:
        body = {
            "provider": "voicesession",
            "model": "voicesession",
            "request_messages": [{"role": "user", "content": turn.user}],
            "response_dict": {"content": turn.assistant},
        }
        await self._call("POST", f"{self._agent}/messages/capture", json=body)

    async def _call(self, method: str, url: str, **arguments: Any) -> Any:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.request(
                method, url, headers=self._headers, timeout=timeout, **arguments
            ) as answer:
                _raise_for(answer.status)
                return json.loads(await answer.content.read(MAX_ANSWER_BYTES) or b"null")
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError("Letta does not answer") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise UnavailableError("Letta does not answer") from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise UncertainError("Letta did not answer in time") from error
        except ValueError as error:
            raise UncertainError("Letta's answer is not JSON") from error


def _raise_for(status: int) -> None:
    if status >= SERVER_ERROR or status in (TOO_MANY, CONFLICT):
        raise UnavailableError(f"Letta answers {status}")
    if status >= CLIENT_ERROR:
        raise RejectedError(f"Letta answers {status}")


def _block(raw: dict[str, Any]) -> Block:
    return Block(label=raw["label"], value=raw["value"], description=raw.get("description") or "")
