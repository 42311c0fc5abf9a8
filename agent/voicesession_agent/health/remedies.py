"""How often a new job is tried against what is wrong with the old one."""

from collections import deque
from typing import Final

BUDGET: Final = 3
WINDOW_SECONDS: Final = 600.0


class Remedies:
    def __init__(self) -> None:
        self._taken: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Answer False when the budget of the last ten minutes is used up: only a fresh pod can help."""
        while self._taken and now - self._taken[0] > WINDOW_SECONDS:
            self._taken.popleft()
        if len(self._taken) >= BUDGET:
            return False
        self._taken.append(now)
        return True
