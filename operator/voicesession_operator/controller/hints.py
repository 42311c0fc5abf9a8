"""What webhooks have told of departures: kept per session until asked for, never more than a fixed number."""

from collections import OrderedDict
from typing import Final

from voicesession_operator.controller.cache import Key
from voicesession_operator.domain.observed import Leave

CAPACITY: Final = 10_000
"""More sessions than one operator is meant for; the oldest hint goes first."""


class Hints:
    """The latest departure of a human for each session."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._leaves: OrderedDict[Key, Leave] = OrderedDict()

    def record(self, key: Key, leave: Leave) -> None:
        known = self._leaves.get(key)
        if known is not None and known.at > leave.at:
            return
        self._leaves[key] = leave
        self._leaves.move_to_end(key)
        while len(self._leaves) > self._capacity:
            self._leaves.popitem(last=False)

    def leave(self, key: Key) -> Leave | None:
        return self._leaves.get(key)

    def forget(self, key: Key) -> None:
        self._leaves.pop(key, None)
