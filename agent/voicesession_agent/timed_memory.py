"""A memory backend that is watched: how long each call took, and how it ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from voicesession_agent.memory import (
    Block,
    ConflictError,
    MemoryBackend,
    RejectedError,
    Turn,
    UnavailableError,
    UncertainError,
)


class Call(StrEnum):
    """What memory is asked for: also the bounded label values of the metric."""

    LOAD = "load"
    CAPTURE = "capture"
    WRITE = "write"


class Outcome(StrEnum):
    """How it ended: as Call. Stopped: nobody waited for the answer any more, or something unforeseen."""

    OK = "ok"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    UNCERTAIN = "uncertain"
    REJECTED = "rejected"
    STOPPED = "stopped"


ERRORS: tuple[tuple[type[Exception], Outcome], ...] = (
    (ConflictError, Outcome.CONFLICT),
    (UnavailableError, Outcome.UNAVAILABLE),
    (UncertainError, Outcome.UNCERTAIN),
    (RejectedError, Outcome.REJECTED),
)
"""The first that fits: a conflict is also an UnavailableError."""


class TimedMemory:
    """MemoryBackend over another one; `took` hears of every call and its seconds."""

    def __init__(
        self,
        backend: MemoryBackend,
        took: Callable[[Call, Outcome, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._took = took
        self._clock = clock

    async def load_blocks(self) -> tuple[Block, ...]:
        with self._timed(Call.LOAD):
            return await self._backend.load_blocks()

    async def capture(self, turn: Turn) -> None:
        with self._timed(Call.CAPTURE):
            await self._backend.capture(turn)

    async def write(self, label: str, value: str) -> None:
        with self._timed(Call.WRITE):
            await self._backend.write(label, value)

    @contextmanager
    def _timed(self, call: Call) -> Iterator[None]:
        started, outcome = self._clock(), Outcome.STOPPED
        try:
            yield
            outcome = Outcome.OK
        except Exception as error:
            outcome = next((found for kind, found in ERRORS if isinstance(error, kind)), Outcome.STOPPED)
            raise
        finally:
            self._took(call, outcome, self._clock() - started)
