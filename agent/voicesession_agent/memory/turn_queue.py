"""Bounded, ordered queue of finished turns for memory; adding a turn never blocks speech."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from voicesession_agent.memory.backend import MemoryBackend, RejectedError, Turn, UncertainError, UnexpectedError

LIMIT: Final = 256
"""Turns kept while memory is unavailable: more than an hour of conversation."""

UNEXPECTED_TRIES: Final = 3
"""Tries of a turn that fails with UnexpectedError; without a limit it would hold up all later turns."""


class DropReason(StrEnum):
    """Reason for a turn's loss before memory; also a metric label with a fixed set of values."""

    OVERFLOW = "overflow"
    REJECTED = "rejected"
    STOPPED = "stopped"
    FORGOTTEN = "forgotten"
    """Memory became read only, so that the turn must not be sent any more."""
    UNDELIVERED = "undelivered"
    """A job could not deliver the turn to its supervisor."""


class TurnQueue:
    """FIFO queue of at most `limit` turns; an overflow drops the oldest turn that is not being sent.

    The turn being sent may already be stored. Each turn is sent until memory acknowledges it. `lost` is called for
    each lost turn, and `repeated` for each repeated turn that memory may already have stored.
    """

    def __init__(self, lost: Callable[[DropReason], None], repeated: Callable[[], None], limit: int = LIMIT) -> None:
        self._turns: deque[Turn] = deque()
        self._limit = limit
        self._on_drop = lost
        self._on_repeat = repeated
        self._uncertain: Turn | None = None
        self._unexpected = 0
        """Tries of the oldest turn that failed with UnexpectedError."""
        self._sending = False
        self._some = asyncio.Event()
        self.lost = 0
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._turns)

    def put(self, turn: Turn) -> None:
        """Append a turn, and drop the oldest one if the queue is full."""
        oldest = 1 if self._sending else 0
        if len(self._turns) >= max(self._limit, oldest + 1):
            del self._turns[oldest]
            self.lose(DropReason.OVERFLOW)
        self._turns.append(turn)
        self._some.set()

    async def wait(self) -> None:
        """Wait until the queue has at least one turn."""
        await self._some.wait()

    async def send_oldest(self, backend: MemoryBackend) -> None:
        """Send the oldest turn, if any. It stays queued after any error except RejectedError.

        A turn is dropped as rejected after UNEXPECTED_TRIES of UnexpectedError.
        """
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
        except (UncertainError, asyncio.CancelledError) as error:
            self._uncertain = turn
            if isinstance(error, UnexpectedError):
                self._give_up_after_tries(turn)
            raise
        finally:
            self._sending = False
        self._drop(turn)

    def _give_up_after_tries(self, turn: Turn) -> None:
        self._unexpected += 1
        if self._unexpected >= UNEXPECTED_TRIES:
            self._drop(turn)
            self.lose(DropReason.REJECTED)

    def forget(self) -> None:
        """Drop all turns and count them as lost; they must not be sent."""
        self._drop_all(DropReason.FORGOTTEN)
        self._unexpected = 0
        self._some.clear()

    def give_up(self) -> None:
        """Drop all turns and count them as lost, at the end of the process."""
        self._drop_all(DropReason.STOPPED)

    def _drop_all(self, reason: DropReason) -> None:
        while self._turns:
            self._turns.popleft()
            self.lose(reason)

    def lose(self, why: DropReason) -> None:
        """Count one lost turn, including a turn that never reached this queue."""
        self.lost += 1
        self._on_drop(why)

    def _drop(self, turn: Turn) -> None:
        """Remove `turn`, unless `forget` removed it while it was being sent."""
        if self._turns and self._turns[0] is turn:
            self._turns.popleft()
            self._unexpected = 0
        if not self._turns:
            self._some.clear()
