"""Webhooks that never came: what LiveKit's list showed, and nobody had told of."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicesession_operator import metrics
from voicesession_operator.controller.cache import Key
from voicesession_operator.domain.observed import LeaveHint, Room
from voicesession_operator.metric_labels import LostEvent

CAPACITY: Final = 10_000
"""More sessions than one operator is meant for; the oldest hint goes first."""


class Hints:
    """The latest departure of a human for each session."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._leaves: OrderedDict[Key, LeaveHint] = OrderedDict()

    def record(self, key: Key, leave: LeaveHint) -> None:
        known = self._leaves.get(key)
        if known is not None and known.at > leave.at:
            return
        self._leaves[key] = leave
        self._leaves.move_to_end(key)
        while len(self._leaves) > self._capacity:
            self._leaves.popitem(last=False)

    def leave(self, key: Key) -> LeaveHint | None:
        return self._leaves.get(key)

    def forget(self, key: Key) -> None:
        self._leaves.pop(key, None)


PATIENCE_SECONDS: Final = 30.0
"""LiveKit drops an event that it could not deliver for so long."""


class _Change(NamedTuple):
    session: Key
    event: LostEvent
    sid: str


@dataclass
class _Seen:
    """Who was there at the last look; None before the first."""

    present: frozenset[str] | None = None
    told: dict[_Change, float] = field(default_factory=dict)
    """Changes that a webhook told of, and when; one that the list does not show soon was over between two looks."""


class WebhookLosses:
    """Compares webhooks with looks at the room, whichever comes first. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._seen: OrderedDict[Key, _Seen] = OrderedDict()
        self._untold: OrderedDict[_Change, float] = OrderedDict()
        """What a look has shown, by when; in the order of the looks."""

    def told(self, session: Key, event: LostEvent, sid: str) -> None:
        """A webhook came."""
        change = _Change(session, event, sid)
        if self._untold.pop(change, None) is None:
            self._of(session).told[change] = self._clock()

    def looked(self, session: Key, room: Room | None) -> None:
        """LiveKit was asked: who is ACTIVE there. The first look at a session proves nothing."""
        seen, now = self._of(session), self._clock()
        there = frozenset(p.sid for p in room.participants if p.active) if room else frozenset()
        before, seen.present = seen.present, there
        for change in _changes(session, before, there) if before is not None else ():
            if seen.told.pop(change, None) is None:
                self._untold[change] = now
        seen.told = {change: at for change, at in seen.told.items() if now - at < PATIENCE_SECONDS}
        self.count()

    def forget(self, session: Key) -> None:
        """It is over: who goes with the room is of no interest."""
        self._seen.pop(session, None)

    def count(self) -> None:
        """Count what nobody has told of for too long."""
        now = self._clock()
        while self._untold:
            change, at = next(iter(self._untold.items()))
            if now - at < PATIENCE_SECONDS:
                return
            del self._untold[change]
            metrics.WEBHOOKS_LOST.labels(change.event.value).inc()

    def _of(self, session: Key) -> _Seen:
        seen = self._seen.setdefault(session, _Seen())
        self._seen.move_to_end(session)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return seen


def _changes(session: Key, before: frozenset[str], there: frozenset[str]) -> list[_Change]:
    came = [_Change(session, LostEvent.JOINED, sid) for sid in sorted(there - before)]
    return came + [_Change(session, LostEvent.LEFT, sid) for sid in sorted(before - there)]
