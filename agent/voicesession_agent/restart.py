"""When a dead job is started again, and when the pod gives up so that the operator replaces it."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

QUICK_SECONDS: Final = 10.0
"""A job that lived shorter counts as a quick failure."""
BUDGET: Final = 5
"""Quick failures within WINDOW_SECONDS after which a fresh pod is the better cure."""
WINDOW_SECONDS: Final = 60.0
DEATHS: Final = 10
"""Of jobs that lived for however long, within DEATHS_SECONDS: in this pod none lives long enough for a conversation."""
DEATHS_SECONDS: Final = 600.0
FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 5.0
SUPERSEDED_DELAY_SECONDS: Final = 30.0
"""Longer than a replaced pod lives on, so that two pods never put each other out of the room in turns."""


class End(Enum):
    """Why a job is no longer in its room."""

    DIED = "died"
    REFUSED = "refused"
    """It could not get in, or the room went away: that heals only outside this pod."""
    SUPERSEDED = "superseded"
    """Somebody else came with the same identity: the pod that the operator has put in this one's place."""


@dataclass
class RestartPolicy:
    """Doubling delays after quick failures, none after a job that had worked for a while."""

    _failures: deque[float] = field(default_factory=deque)
    _deaths: deque[float] = field(default_factory=deque)
    _refusals: int = 0

    def after(self, *, lived: float, end: End, now: float) -> float | None:
        """Answer the seconds to wait before the next job, or None to give up; only DIED uses up the budget."""
        if end is End.SUPERSEDED:
            return SUPERSEDED_DELAY_SECONDS
        if end is End.REFUSED:
            self._refusals += 1
            return _doubled(self._refusals)
        self._refusals = 0
        if _count(self._deaths, now, DEATHS_SECONDS) >= DEATHS:
            return None
        if lived >= QUICK_SECONDS:
            return 0.0
        failures = _count(self._failures, now, WINDOW_SECONDS)
        if failures >= BUDGET:
            return None
        return 0.0 if failures == 1 else _doubled(failures - 1)


def _count(times: deque[float], now: float, seconds: float) -> int:
    """Add `now` and answer how many there are of the last `seconds`."""
    times.append(now)
    while now - times[0] > seconds:
        times.popleft()
    return len(times)


def _doubled(count: int) -> float:
    return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(count - 1, 10)))
