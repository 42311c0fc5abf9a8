"""Token buckets: how many events of one key may pass at once, and how many on the average."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from voicesession_common.lru import LruDict

CAPACITY: Final = 10_000
"""Buckets kept; the one that was used least recently is dropped, which makes it full again."""


@dataclass(frozen=True)
class Rate:
    """Allow `burst` events at once, and `per_second` events a second on the average."""

    per_second: float
    burst: int


class TokenBuckets:
    """One bucket for each key, all of the same rate, full at first. Times are seconds of one clock."""

    def __init__(self, rate: Rate, capacity: int = CAPACITY) -> None:
        self._rate = rate
        self._buckets: LruDict[Hashable, tuple[float, float]] = LruDict(capacity)
        """Tokens left, and the time at which that was so."""

    def take(self, key: Hashable, now: float) -> float:
        """Take one token. Return 0, or, when none is left, the seconds until the next one."""
        burst = float(self._rate.burst)
        left, since = self._buckets.get(key, (burst, now))
        left = min(left + max(now - since, 0.0) * self._rate.per_second, burst)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate.per_second
        self._buckets[key] = (left if wait else left - 1, now)
        return wait
