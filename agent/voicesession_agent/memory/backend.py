"""Interface of a memory backend: its calls, address, settings, status, errors and measurement."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

DEFAULT_LABEL: Final = "human"
"""Letta's usual label of the block about the human."""


@dataclass(frozen=True)
class MemoryAddress:
    """Address of the agent's memory, and the API key, which may be empty."""

    base_url: str
    agent_id: str
    api_key: str = field(default="", repr=False)


class MemorySettings(Protocol):
    """The part of the pod's desired state that concerns memory."""

    @property
    def memory(self) -> MemoryAddress | None: ...

    @property
    def capture(self) -> bool: ...

    @property
    def read_only(self) -> bool: ...

    @property
    def remember(self) -> bool: ...

    @property
    def remember_block(self) -> str: ...

    @property
    def recall(self) -> bool: ...


class MemoryPhase(StrEnum):
    """Phase of the memory."""

    NONE = "None"
    LOADING = "Loading"
    OK = "Ok"
    UNAVAILABLE = "Unavailable"


@dataclass(frozen=True)
class MemoryStatus:
    """The memory's Letta agent, phase and error message."""

    agent_id: str = ""
    phase: MemoryPhase = MemoryPhase.NONE
    message: str = ""


@dataclass(frozen=True)
class Block:
    """Labeled text in an agent's memory, shown in the prompt."""

    label: str
    value: str
    description: str = ""
    limit: int = 0
    """Maximum length of `value` in characters; 0 if unknown."""
    read_only: bool = False
    """Letta's own mark; its API accepts writes all the same."""


@dataclass(frozen=True)
class Turn:
    """Human's words and the agent's spoken answer, which is cut off at an interruption."""

    user: str = field(repr=False)
    assistant: str = field(repr=False)


@dataclass(frozen=True)
class Remark:
    """Words of a caller (`user`) or of the agent (`assistant`) in an earlier conversation."""

    at: str
    """Time in ISO 8601."""
    role: str
    text: str = field(repr=False)


class MemoryBackendError(Exception):
    """Base class of backend errors; messages are stable and short, and contain no memory content."""


class UnavailableError(MemoryBackendError):
    """Nothing was stored; the same call may succeed later."""


class UncertainError(MemoryBackendError):
    """No valid response arrived, so the turn may be stored; sending it again could store it twice."""


class UnexpectedError(UncertainError):
    """The backend failed with an error that it does not translate; the message has the name of its class only."""


class RejectedError(MemoryBackendError):
    """The backend will never accept this call."""


class WriteConflictError(UnavailableError):
    """Another client wrote at the same time."""


class MemoryBackend(Protocol):
    """Storage of one agent's memory."""

    async def load_blocks(self) -> tuple[Block, ...]:
        """Return the current blocks. Raise MemoryBackendError.

        It reads the backend's database, so it also checks the backend's health.
        """

    async def capture(self, turn: Turn) -> None:
        """Store one finished turn, in the order of the calls. Raise MemoryBackendError."""

    async def write(self, label: str, value: str) -> None:
        """Replace the value of the block with that label. Raise MemoryBackendError."""

    async def search(self, words: str) -> tuple[Remark, ...]:
        """Return the newest captured remarks that contain `words`, in any case. Raise MemoryBackendError."""


class GuardedBackend:
    """MemoryBackend that raises only MemoryBackendError, whatever the backend raises: no fault of memory ends a call.

    `connect` creates the backend at the first call, so that its errors are those of a call.
    """

    def __init__(self, connect: Callable[[], MemoryBackend]) -> None:
        self._connect = connect
        self._backend: MemoryBackend | None = None

    async def load_blocks(self) -> tuple[Block, ...]:
        """Load the blocks. Raise MemoryBackendError."""
        with _translate_errors():
            return await self._connected().load_blocks()

    async def capture(self, turn: Turn) -> None:
        """Capture a turn. Raise MemoryBackendError."""
        with _translate_errors():
            await self._connected().capture(turn)

    async def write(self, label: str, value: str) -> None:
        """Write a block. Raise MemoryBackendError."""
        with _translate_errors():
            await self._connected().write(label, value)

    async def search(self, words: str) -> tuple[Remark, ...]:
        """Search the captured turns. Raise MemoryBackendError."""
        with _translate_errors():
            return await self._connected().search(words)

    def _connected(self) -> MemoryBackend:
        if self._backend is None:
            self._backend = self._connect()
        return self._backend


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise UnexpectedError in place of any error that is no MemoryBackendError; a cancellation passes."""
    try:
        yield
    except MemoryBackendError:
        raise
    except Exception as error:
        raise UnexpectedError(f"memory failed: {type(error).__name__}") from error


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Raise UnavailableError after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise UnavailableError("memory did not answer in time") from error


def digest(blocks: Sequence[Block]) -> str:
    """Return a hex hash of the blocks' text in the prompt; Letta's blocks have no version."""
    shown = json.dumps([(b.label, b.description, b.value) for b in blocks])
    return hashlib.sha256(shown.encode()).hexdigest()


class MemoryCall(StrEnum):
    """Operation of the memory backend; also a metric label with a fixed set of values."""

    LOAD = "load"
    CAPTURE = "capture"
    WRITE = "write"
    SEARCH = "search"


class MemoryOutcome(StrEnum):
    """Outcome of a memory call; also a metric label. STOPPED covers cancellation and unexpected errors."""

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
"""Outcome by error class. The first match counts: a conflict is also an UnavailableError."""


class InstrumentedBackend:
    """MemoryBackend that wraps another one and reports each call's outcome and seconds to `took`."""

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
        """Load the blocks, and measure the call."""
        with self._timed(MemoryCall.LOAD):
            return await self._backend.load_blocks()

    async def capture(self, turn: Turn) -> None:
        """Capture a turn, and measure the call."""
        with self._timed(MemoryCall.CAPTURE):
            await self._backend.capture(turn)

    async def write(self, label: str, value: str) -> None:
        """Write a block, and measure the call."""
        with self._timed(MemoryCall.WRITE):
            await self._backend.write(label, value)

    async def search(self, words: str) -> tuple[Remark, ...]:
        """Search the captured turns, and measure the call."""
        with self._timed(MemoryCall.SEARCH):
            return await self._backend.search(words)

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
