"""The memory behind one small interface (load blocks, capture a turn, remember a fact); who keeps it is letta.py's."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
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


class WriteConflictError(UnavailableError):
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


class MemoryCall(StrEnum):
    """What memory is asked for: also the bounded label values of the metric."""

    LOAD = "load"
    CAPTURE = "capture"
    WRITE = "write"


class MemoryOutcome(StrEnum):
    """How it ended: as Call. Stopped: nobody waited for the answer any more, or something unforeseen."""

    OK = "ok"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    UNCERTAIN = "uncertain"
    REJECTED = "rejected"
    STOPPED = "stopped"


ERRORS: tuple[tuple[type[Exception], MemoryOutcome], ...] = (
    (WriteConflictError, MemoryOutcome.CONFLICT),
    (UnavailableError, MemoryOutcome.UNAVAILABLE),
    (UncertainError, MemoryOutcome.UNCERTAIN),
    (RejectedError, MemoryOutcome.REJECTED),
)
"""The first that fits: a conflict is also an UnavailableError."""


class InstrumentedBackend:
    """MemoryBackend over another one; `took` hears of every call and its seconds."""

    def __init__(
        self,
        backend: MemoryBackend,
        took: Callable[[MemoryCall, MemoryOutcome, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._took = took
        self._clock = clock

    async def load_blocks(self) -> tuple[Block, ...]:
        with self._timed(MemoryCall.LOAD):
            return await self._backend.load_blocks()

    async def capture(self, turn: Turn) -> None:
        with self._timed(MemoryCall.CAPTURE):
            await self._backend.capture(turn)

    async def write(self, label: str, value: str) -> None:
        with self._timed(MemoryCall.WRITE):
            await self._backend.write(label, value)

    @contextmanager
    def _timed(self, call: MemoryCall) -> Iterator[None]:
        started, outcome = self._clock(), MemoryOutcome.STOPPED
        try:
            yield
            outcome = MemoryOutcome.OK
        except Exception as error:
            outcome = next((found for kind, found in ERRORS if isinstance(error, kind)), MemoryOutcome.STOPPED)
            raise
        finally:
            self._took(call, outcome, self._clock() - started)
