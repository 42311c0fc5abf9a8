"""Finished turns on their way into memory: in order, bounded, never in the way of speech."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from voicesession_agent.memory import MemoryBackend, Turn, UnavailableError

LIMIT: Final = 256
"""Turns kept while memory is away: more than an hour of talk."""


class Lost(StrEnum):
    """Why a turn never reached memory: also the bounded label values of the metric."""

    OVERFLOW = "overflow"
    UNCERTAIN = "uncertain"
    REJECTED = "rejected"


class TurnQueue:
    """A FIFO of at most `limit` turns that drops its oldest; `lost` hears of every drop."""

    def __init__(self, lost: Callable[[Lost], None], limit: int = LIMIT) -> None:
        self._turns: deque[Turn] = deque()
        self._limit = limit
        self._lost = lost
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._turns)

    def put(self, turn: Turn) -> None:
        if len(self._turns) >= self._limit:
            self._turns.popleft()
            self._lost(Lost.OVERFLOW)
        self._turns.append(turn)
        self._some.set()

    async def wait(self) -> None:
        """Return once at least one turn is there."""
        await self._some.wait()

    async def send_oldest(self, backend: MemoryBackend) -> None:
        """Send the oldest turn; it stays queued only when UnavailableError is raised, for then nothing was stored."""
        turn = self._turns[0]
        try:
            await backend.capture(turn)
        except UnavailableError:
            raise
        except Exception:
            self._drop(turn)
            raise
        self._drop(turn)

    def lose(self, why: Lost) -> None:
        self._lost(why)

    def _drop(self, turn: Turn) -> None:
        """Remove `turn` unless an overflow has already done so while it was being sent."""
        if self._turns and self._turns[0] is turn:
            self._turns.popleft()
        if not self._turns:
            self._some.clear()
