"""Token buckets: how often somebody may ask. No clock of its own; forgets whoever has been quiet the longest."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

REMEMBERED: Final = 10_000
"""Buckets kept; one that is forgotten is full again, which only an attacker with as many names would notice."""


@dataclass(frozen=True)
class Rate:
    """`burst` at once, and `per_second` on the average."""

    per_second: float
    burst: int


class Buckets:
    """One bucket for each key, all of the same rate. Times are monotonic seconds."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Take one token: 0, or the seconds until there is one."""
        held, at = self._buckets.pop(key, (float(self._rate.burst), now))
        held = min(held + (now - at) * self._rate.per_second, float(self._rate.burst))
        wait = 0.0 if held >= 1 else (1 - held) / self._rate.per_second
        self._buckets[key] = (held if wait else held - 1, now)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return wait
