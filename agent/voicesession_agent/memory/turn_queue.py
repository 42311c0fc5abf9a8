"""Finished turns on their way into memory: in order, bounded, never in the way of speech."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from voicesession_agent.memory.backend import MemoryBackend, RejectedError, Turn, UncertainError

LIMIT: Final = 256
"""Turns kept while memory is away: more than an hour of talk."""


class DropReason(StrEnum):
    """Why a turn never reached memory: also the bounded label values of the metric."""

    OVERFLOW = "overflow"
    REJECTED = "rejected"
    STOPPED = "stopped"
    UNDELIVERED = "undelivered"
    """By a job, to its supervisor."""


class TurnQueue:
    """A FIFO of at most `limit` turns that drops its oldest, but never the one being sent: that one may be stored.

    Each is sent until memory has acknowledged it. `lost` hears of every drop, `repeated` of every turn sent again
    that memory may have stored already.
    """

    def __init__(self, lost: Callable[[DropReason], None], repeated: Callable[[], None], limit: int = LIMIT) -> None:
        self._turns: deque[Turn] = deque()
        self._limit = limit
        self._on_drop = lost
        self._on_repeat = repeated
        self._uncertain: Turn | None = None
        self._sending = False
        self._some = asyncio.Event()
        self.lost = 0
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._turns)

    def put(self, turn: Turn) -> None:
        oldest = 1 if self._sending else 0
        if len(self._turns) >= max(self._limit, oldest + 1):
            del self._turns[oldest]
            self.lose(DropReason.OVERFLOW)
        self._turns.append(turn)
        self._some.set()

    async def wait(self) -> None:
        """Return once at least one turn is there."""
        await self._some.wait()

    async def send_oldest(self, backend: MemoryBackend) -> None:
        """Send the oldest turn, if any. It stays queued when an error but RejectedError is raised."""
        if not self._turns:
            return
        turn = self._turns[0]
        if self._uncertain is turn:
            self.repeated += 1
            self._on_repeat()
        self._sending = True
        try:
            await backend.capture(turn)
        except RejectedError:
            self._drop(turn)
            self.lose(DropReason.REJECTED)
            raise
        except (UncertainError, asyncio.CancelledError):
            self._uncertain = turn
            raise
        finally:
            self._sending = False
        self._drop(turn)

    def forget(self) -> None:
        """Drop what was never to be sent."""
        self._turns.clear()
        self._some.clear()

    def give_up(self) -> None:
        """Count what is left as lost: this process ends."""
        while self._turns:
            self._turns.popleft()
            self.lose(DropReason.STOPPED)

    def lose(self, why: DropReason) -> None:
        """Count one, also one that never came as far as here."""
        self.lost += 1
        self._on_drop(why)

    def _drop(self, turn: Turn) -> None:
        """Remove `turn` unless it was forgotten while it was being sent."""
        if self._turns and self._turns[0] is turn:
            self._turns.popleft()
        if not self._turns:
            self._some.clear()
