"""When a dead job is started again, and when the pod gives up so that the operator replaces it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

QUICK_SECONDS: Final = 10.0
"""A job that lived shorter counts as a quick failure."""
BUDGET: Final = 5
"""Quick failures within WINDOW_SECONDS after which a fresh pod is the better cure."""
WINDOW_SECONDS: Final = 60.0
FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 5.0


@dataclass
class RestartPolicy:
    """Doubling delays after quick failures, none after a job that had worked for a while."""

    _failures: deque[float] = field(default_factory=deque)
    _refusals: int = 0

    def after(self, *, lived: float, refused: bool, now: float) -> float | None:
        """Answer the seconds to wait before the next job, or None to give up.

        `refused`: the job itself was well but could not get into the room (LiveKit is away, or the room is). That
        heals only outside this pod, so it never uses up the budget.
        """
        if refused:
            self._refusals += 1
            return _doubled(self._refusals)
        self._refusals = 0
        if lived >= QUICK_SECONDS:
            return 0.0
        self._failures.append(now)
        while now - self._failures[0] > WINDOW_SECONDS:
            self._failures.popleft()
        if len(self._failures) >= BUDGET:
            return None
        return 0.0 if len(self._failures) == 1 else _doubled(len(self._failures) - 1)


def _doubled(count: int) -> float:
    return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(count - 1, 10)))
