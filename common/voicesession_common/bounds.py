"""Bounds on memory and on rates: a dict of limited size, and token buckets for each key."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")
CAPACITY: Final = 10_000
"""Number of buckets kept. The least recently used bucket is dropped, which makes it full again."""


class LruDict(OrderedDict[K, V]):
    """A dict of at most `capacity` entries, without the least recently written ones. Reading a key changes nothing."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._capacity:
            self.popitem(last=False)


@dataclass(frozen=True)
class Rate:
    """A limit of `burst` events at once and of `per_second` events a second on average."""

    per_second: float
    burst: int


class TokenBuckets:
    """One bucket for each key, all with the same rate and initially full. Times are seconds of one clock."""

    def __init__(self, rate: Rate, capacity: int = CAPACITY) -> None:
        self._rate = rate
        self._buckets: LruDict[Hashable, tuple[float, float]] = LruDict(capacity)
        """Tokens left and the time of that count."""

    def take(self, key: Hashable, now: float) -> float:
        """Take one token. Return 0, or the seconds until the next token if the bucket is empty."""
        burst = float(self._rate.burst)
        left, since = self._buckets.get(key, (burst, now))
        left = min(left + max(now - since, 0.0) * self._rate.per_second, burst)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate.per_second
        self._buckets[key] = (left if wait else left - 1, now)
        return wait
