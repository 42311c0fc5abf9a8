"""How many events of one kind an object may have: somebody who comes and goes all day must not fill the cluster."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

CAPACITY: Final = 10_000
"""Kinds that are remembered; the one that had no event for longest goes first."""
AT_ONCE: Final = 60
"""A large room fills within seconds."""
SECONDS_EACH: Final = 60.0
"""After which one more is allowed: in the hour that Kubernetes keeps events there are never more than 120."""


class Allowance:
    """A bucket for each kind, full at first; times are Unix seconds."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """What is left, and when that was so."""

    def take(self, kind: Hashable, now: float) -> bool:
        """Whether one more is allowed, which then counts."""
        left, since = self._buckets.get(kind, (float(AT_ONCE), now))
        left = min(left + max(now - since, 0.0) / SECONDS_EACH, float(AT_ONCE))
        allowed = left >= 1
        self._buckets[kind] = (left - 1 if allowed else left, now)
        self._buckets.move_to_end(kind)
        while len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return allowed
