"""Handling of room events, hints about humans that left, and detection of lost webhooks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicesession_common.bounds import LruDict

from voicesession_operator import metrics
from voicesession_operator.clients.livekit import PARTICIPANT_JOINED, PARTICIPANT_LEFT, RoomEvent
from voicesession_operator.controller.cache import Cache, Key
from voicesession_operator.domain.humans import present_humans
from voicesession_operator.domain.observed import LastSeen, LeaveHint, Room, RoomUnknown
from voicesession_operator.metric_labels import LostWebhookEvent

CAPACITY: Final = 10_000
"""More sessions than one operator is meant for; the least recently used entry is dropped first."""
HINTS_OF_SESSION: Final = 256
"""Leaves of one room between two looks; beyond that, the reason of the last leave is unknown."""
LOST_AFTER_SECONDS: Final = 30.0
"""Time after which an expected webhook counts as lost; LiveKit drops an undelivered event after this time."""
PARTICIPANTS_CHANGED: Final = frozenset({PARTICIPANT_JOINED, *PARTICIPANT_LEFT, "room_finished"})
"""Events after which the list of participants must be read again; a new room has none."""
TRACKED_EVENTS: Final = {
    PARTICIPANT_JOINED: LostWebhookEvent.JOINED,
    **dict.fromkeys(PARTICIPANT_LEFT, LostWebhookEvent.LEFT),
}


@dataclass
class _Leaves:
    """Reported leaves of one session's room, and the latest look that found humans."""

    events: int = 0
    last_seen: LastSeen | None = None
    hints: LruDict[str, LeaveHint] = field(default_factory=lambda: LruDict(HINTS_OF_SESSION))
    """By participant SID."""


class LeaveHints:
    """The reported leaves of humans, the humans seen last, and the number of reports, by session."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._leaves: LruDict[Key, _Leaves] = LruDict(capacity)

    def count_event(self, key: Key) -> None:
        """Count a report that the participants changed."""
        self._of(key).events += 1

    def events(self, key: Key) -> int:
        """Return the number of reports; a look at the room is out of date once the number differs."""
        leaves = self._leaves.get(key)
        return 0 if leaves is None else leaves.events

    def record(self, key: Key, leave: LeaveHint) -> None:
        """Keep a reported leave."""
        self._of(key).hints[leave.sid] = leave

    def on_observed(self, key: Key, room: Room | RoomUnknown | None, now: float) -> None:
        """Keep the humans in the room, if any; leaves that were reported of other humans came before them."""
        humans = present_humans(room)
        if not humans or not isinstance(room, Room):
            return
        leaves = self._of(key)
        leaves.last_seen = LastSeen(now, room.sid, humans)
        for sid in leaves.hints.keys() - {human.sid for human in humans}:
            del leaves.hints[sid]

    def hints(self, key: Key) -> tuple[LeaveHint, ...]:
        """Return the leaves that were reported since the latest look that found humans."""
        leaves = self._leaves.get(key)
        return () if leaves is None else tuple(leaves.hints.values())

    def last_seen(self, key: Key) -> LastSeen | None:
        """Return the latest look that found humans."""
        leaves = self._leaves.get(key)
        return None if leaves is None else leaves.last_seen

    def forget(self, key: Key) -> None:
        self._leaves.pop(key, None)

    def _of(self, key: Key) -> _Leaves:
        found = self._leaves.get(key) or _Leaves()
        self._leaves[key] = found
        return found


class _Change(NamedTuple):
    session: Key
    event: LostWebhookEvent
    sid: str


@dataclass
class _Participants:
    """State of one session's room."""

    present: frozenset[str] | None = None
    """SIDs at the last observation; None before the first one."""
    reported: dict[_Change, float] = field(default_factory=dict)
    """Changes that a webhook reported before an observation, and when.

    A change that no observation confirms was undone between two observations.
    """


class LostWebhookCounter:
    """Compares webhooks with observations of the room, in either order. `clock` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._rooms: LruDict[Key, _Participants] = LruDict(capacity)
        self._unreported: dict[_Change, float] = {}
        """Observed changes without a webhook, and when they were observed; in that order."""

    def on_webhook(self, session: Key, event: LostWebhookEvent, sid: str) -> None:
        """Record a change that a webhook reported."""
        change = _Change(session, event, sid)
        if self._unreported.pop(change, None) is None:
            self._participants(session).reported[change] = self._clock()

    def on_observed(self, session: Key, room: Room | None) -> None:
        """Compare the room's active participants with the previous ones; the first observation proves nothing."""
        known, now = self._participants(session), self._clock()
        present = frozenset(p.sid for p in room.participants if p.active) if room else frozenset()
        before, known.present = known.present, present
        for change in _changes(session, before, present) if before is not None else ():
            if known.reported.pop(change, None) is None:
                self._unreported[change] = now
        known.reported = {change: at for change, at in known.reported.items() if now - at < LOST_AFTER_SECONDS}
        self.count()

    def forget(self, session: Key) -> None:
        """Drop the state of a finished session: leaves that follow the room's deletion do not count."""
        self._rooms.pop(session, None)

    def count(self) -> None:
        """Count the changes that no webhook has reported in time."""
        now = self._clock()
        while self._unreported:
            change, at = next(iter(self._unreported.items()))
            if now - at < LOST_AFTER_SECONDS:
                return
            del self._unreported[change]
            metrics.WEBHOOKS_LOST.labels(change.event.value).inc()

    def _participants(self, session: Key) -> _Participants:
        found = self._rooms.get(session) or _Participants()
        self._rooms[session] = found
        return found


class WebhookHandler:
    """Passes room events on: to the hints, to the counter of lost webhooks, and as a key to the work queue."""

    def __init__(
        self, cache: Cache, hints: LeaveHints, lost_webhooks: LostWebhookCounter, enqueue: Callable[[Key], None]
    ) -> None:
        self._cache = cache
        self._hints = hints
        self._lost_webhooks = lost_webhooks
        self._enqueue = enqueue

    def handle(self, event: RoomEvent) -> bool:
        """Handle one event. Return False if the room belongs to no known session."""
        key = self._cache.session_of_room(event.room)
        if key is None:
            return False
        if event.event in TRACKED_EVENTS:
            self._lost_webhooks.on_webhook(key, TRACKED_EVENTS[event.event], event.participant_sid)
        if event.event in PARTICIPANTS_CHANGED:
            self._hints.count_event(key)
        if event.leave is not None:
            self._hints.record(key, event.leave)
        self._enqueue(key)
        return True


def _changes(session: Key, before: frozenset[str], present: frozenset[str]) -> list[_Change]:
    joined = [_Change(session, LostWebhookEvent.JOINED, sid) for sid in sorted(present - before)]
    return joined + [_Change(session, LostWebhookEvent.LEFT, sid) for sid in sorted(before - present)]
