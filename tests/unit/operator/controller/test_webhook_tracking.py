"""Webhooks that never came are found by looking; those that come late, or for somebody seen before, are not missed."""

import pytest
from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.webhook_tracking import PATIENCE_SECONDS, WebhookLosses
from voicesession_operator.domain.observed import Room
from voicesession_operator.metric_labels import LostEvent

from tests.support.builders import T0, human
from tests.support.metric_changes import Rise, counted

HELLO = Key("default", "hello")
LOST = "voicesession_webhooks_lost_total"


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


class Room1:
    """One session's room, looked at by a leader that saw it empty at first."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.losses = WebhookLosses(self.clock)
        self.look()

    def look(self, *identities: str) -> None:
        self.losses.looked(HELLO, Room("RM_1", tuple(human(identity) for identity in identities)))

    def told(self, event: LostEvent, identity: str = "alice") -> None:
        self.losses.told(HELLO, event, f"PA_{identity}")

    def later(self, seconds: float = PATIENCE_SECONDS) -> None:
        self.clock.now += seconds
        self.losses.count()


def lost(rise: Rise) -> tuple[float, float]:
    """Comings and goings that nobody told of."""
    return rise.of(LOST, event="participant_joined"), rise.of(LOST, event="participant_left")


def test_who_came_and_went_untold_is_counted_once_patience_is_over() -> None:
    with counted() as rise:
        room = Room1()
        room.look("alice")
        room.later(PATIENCE_SECONDS - 1)
        assert lost(rise) == (0, 0)
        room.later(1)
        assert lost(rise) == (1, 0)
        room.look("alice")
        room.look()
        room.later()
        room.later()
        assert lost(rise) == (1, 1)


@pytest.mark.parametrize("first", ["the webhook", "the look"])
def test_what_was_told_is_not_lost_whichever_came_first(first: str) -> None:
    with counted() as rise:
        room = Room1()
        for event, there in ((LostEvent.JOINED, ["alice"]), (LostEvent.LEFT, [])):
            if first == "the webhook":
                room.told(event)
                room.look(*there)
            else:
                room.look(*there)
                room.later(PATIENCE_SECONDS - 1)
                room.told(event)
        room.later()
        assert lost(rise) == (0, 0)


def test_a_visit_between_two_looks_leaves_nothing_behind() -> None:
    with counted() as rise:
        room = Room1()
        room.told(LostEvent.JOINED)
        room.told(LostEvent.LEFT)
        room.look()
        room.later()
        room.look()
        assert lost(rise) == (0, 0)
        assert room.losses._seen[HELLO].told == {}


def test_whoever_was_there_before_the_first_look_was_told_to_somebody_else() -> None:
    with counted() as rise:
        room = Room1()
        room.losses.forget(HELLO)
        room.look("alice")
        room.later()
        assert lost(rise) == (0, 0)


def test_it_is_counted_without_anybody_asking_for_metrics() -> None:
    with counted() as rise:
        room = Room1()
        room.look("alice")
        room.clock.now += PATIENCE_SECONDS
        room.look("alice")
        assert lost(rise) == (1, 0)


def test_only_so_many_sessions_are_remembered() -> None:
    losses = WebhookLosses(Clock(), capacity=2)
    for number in range(3):
        losses.looked(Key("default", str(number)), None)
    assert [key.name for key in losses._seen] == ["1", "2"]
