"""The memory behind one small interface (load blocks, capture a turn, remember a fact); who keeps it is letta.py's."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Block:
    label: str
    value: str
    description: str = ""
    limit: int = 0
    """How many characters `value` may have; 0 where the backend does not say."""


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


class ConflictError(UnavailableError):
    """Somebody else was writing at the same moment."""


class MemoryBackend(Protocol):
    async def load_blocks(self) -> tuple[Block, ...]:
        """The current blocks; reads the backend's database, so it tells health too. Raise MemoryBackendError."""

    async def capture(self, turn: Turn) -> None:
        """Store one finished turn, in the order of the calls. Raise MemoryBackendError."""

    async def write(self, label: str, value: str) -> None:
        """Give the block of that label another value. Raise MemoryBackendError."""


def digest(blocks: Sequence[Block]) -> str:
    """Hex hash of what the prompt shows; Letta's blocks carry no version."""
    shown = json.dumps([(b.label, b.description, b.value) for b in blocks])
    return hashlib.sha256(shown.encode()).hexdigest()
