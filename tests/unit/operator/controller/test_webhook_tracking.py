"""Leave hints, the counter of lost webhooks, and the handler of room events."""

import pytest
from voicesession_operator.clients.livekit import RoomEvent
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.webhook_tracking import (
    HINTS_OF_SESSION,
    LOST_AFTER_SECONDS,
    LeaveHints,
    LostWebhookCounter,
    WebhookHandler,
)
from voicesession_operator.domain.observed import LastSeen, LeaveHint, LeaveReason, Room, RoomUnknown
from voicesession_operator.metric_labels import LostWebhookEvent

from tests.support import operator_objects
from tests.support.builders import ROOM, T0, connecting, human
from tests.support.metric_changes import Rise, counted

HELLO = Key("default", "hello")
LOST = "voicesession_webhooks_lost_total"


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


class TrackedRoom:
    """The room of one session, empty at its first observation."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.counter = LostWebhookCounter(self.clock)
        self.observe()

    def observe(self, *identities: str) -> None:
        self.counter.on_observed(HELLO, Room("RM_1", tuple(human(identity) for identity in identities)))

    def receive(self, event: LostWebhookEvent, identity: str = "alice") -> None:
        self.counter.on_webhook(HELLO, event, f"PA_{identity}")

    def wait(self, seconds: float = LOST_AFTER_SECONDS) -> None:
        self.clock.now += seconds
        self.counter.count()


def lost(rise: Rise) -> tuple[float, float]:
    """Return the counted joins and leaves."""
    return rise.of(LOST, event="participant_joined"), rise.of(LOST, event="participant_left")


def leave(at: float, identity: str = "alice") -> LeaveHint:
    return LeaveHint(f"PA_{identity}", LeaveReason.LEFT, at, at)


def test_leave_hints_keep_latest_report_by_participant() -> None:
    hints = LeaveHints()
    assert hints.hints(HELLO) == ()
    for hint in (leave(10), leave(11, "bob"), leave(12)):
        hints.record(HELLO, hint)
    assert set(hints.hints(HELLO)) == {leave(12), leave(11, "bob")}
    hints.forget(HELLO)
    assert (hints.hints(HELLO), hints.last_seen(HELLO)) == ((), None)


def test_look_with_humans_drops_leave_hints_of_other_humans() -> None:
    hints = LeaveHints()
    hints.record(HELLO, leave(10, "bob"))
    hints.record(HELLO, leave(11))
    hints.on_observed(HELLO, Room("RM_1", (human(),)), 12)
    assert hints.hints(HELLO) == (leave(11),), "LiveKit's list is late"
    for room in (Room("RM_1"), Room("RM_1", (connecting("bob"),)), RoomUnknown("LiveKitUnavailable", "no"), None):
        hints.on_observed(HELLO, room, 13)
    assert hints.last_seen(HELLO) == LastSeen(12, "RM_1", (human(),))
    hints.record(HELLO, leave(14, "bob"))
    assert hints.hints(HELLO) == (leave(11), leave(14, "bob"))


def test_leave_hints_of_a_session_are_bounded() -> None:
    hints = LeaveHints()
    for number in range(HINTS_OF_SESSION + 1):
        hints.record(HELLO, leave(number, str(number)))
    assert len(hints.hints(HELLO)) == HINTS_OF_SESSION


def test_leave_hints_at_capacity_drop_the_oldest_session() -> None:
    hints = LeaveHints(capacity=2)
    for number in range(3):
        hints.record(Key("default", str(number)), leave(number))
    assert hints.hints(Key("default", "0")) == ()
    assert hints.hints(Key("default", "2")) == (leave(2),)


def test_unreported_join_and_leave_are_counted_once_after_the_limit() -> None:
    with counted() as rise:
        room = TrackedRoom()
        room.observe("alice")
        room.wait(LOST_AFTER_SECONDS - 1)
        assert lost(rise) == (0, 0)
        room.wait(1)
        assert lost(rise) == (1, 0)
        room.observe("alice")
        room.observe()
        room.wait()
        room.wait()
        assert lost(rise) == (1, 1)


@pytest.mark.parametrize("first", ["webhook", "observation"])
def test_reported_changes_are_not_lost_in_either_order(first: str) -> None:
    with counted() as rise:
        room = TrackedRoom()
        for event, present in ((LostWebhookEvent.JOINED, ["alice"]), (LostWebhookEvent.LEFT, [])):
            if first == "webhook":
                room.receive(event)
                room.observe(*present)
            else:
                room.observe(*present)
                room.wait(LOST_AFTER_SECONDS - 1)
                room.receive(event)
        room.wait()
        assert lost(rise) == (0, 0)


def test_reported_visit_between_observations_expires() -> None:
    with counted() as rise:
        room = TrackedRoom()
        room.receive(LostWebhookEvent.JOINED)
        room.receive(LostWebhookEvent.LEFT)
        room.observe()
        room.wait()
        room.observe()
        assert lost(rise) == (0, 0)
        # The old report no longer covers a new join.
        room.observe("alice")
        room.wait()
        assert lost(rise) == (1, 0)


def test_first_observation_counts_no_lost_webhooks() -> None:
    with counted() as rise:
        room = TrackedRoom()
        room.counter.forget(HELLO)
        room.observe("alice")
        room.wait()
        assert lost(rise) == (0, 0)


def test_observation_counts_lost_webhooks_without_a_scrape() -> None:
    with counted() as rise:
        room = TrackedRoom()
        room.observe("alice")
        room.clock.now += LOST_AFTER_SECONDS
        room.observe("alice")
        assert lost(rise) == (1, 0)


def test_counter_at_capacity_drops_the_oldest_session() -> None:
    clock = Clock()
    counter = LostWebhookCounter(clock, capacity=2)
    with counted() as rise:
        for number in range(3):
            counter.on_observed(Key("default", str(number)), None)
        for number in (1, 2, 0):
            counter.on_observed(Key("default", str(number)), Room("RM_1", (human(f"human-{number}"),)))
        clock.now += LOST_AFTER_SECONDS
        counter.count()
        assert lost(rise) == (2, 0), "session 0 was dropped, so its join is a first observation"


def test_handler_passes_a_known_rooms_event_on() -> None:
    cache, hints, enqueued = Cache(), LeaveHints(), list[Key]()
    cache.upsert(ResourceKind.SESSION, operator_objects.session())
    handler = WebhookHandler(cache, hints, LostWebhookCounter(Clock()), enqueued.append)
    assert handler.handle(RoomEvent(ROOM, "participant_left", "PA_alice", leave(10)))
    assert (enqueued, hints.hints(HELLO)) == ([HELLO], (leave(10),))


def test_handler_refuses_an_unknown_room() -> None:
    enqueued = list[Key]()
    handler = WebhookHandler(Cache(), LeaveHints(), LostWebhookCounter(Clock()), enqueued.append)
    assert not handler.handle(RoomEvent(ROOM, "participant_joined"))
    assert enqueued == []
