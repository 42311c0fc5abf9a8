"""Hints: the latest departure per session, bounded."""

from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.webhook_tracking import Hints
from voicesession_operator.domain.observed import LeaveHint, LeaveReason

HELLO = Key("default", "hello")


def leave(at: float) -> LeaveHint:
    return LeaveHint("alice", LeaveReason.LEFT, at)


def test_the_latest_departure_is_kept() -> None:
    hints = Hints()
    assert hints.leave(HELLO) is None
    hints.record(HELLO, leave(10))
    hints.record(HELLO, leave(12))
    hints.record(HELLO, leave(11))
    assert hints.leave(HELLO) == leave(12)
    hints.forget(HELLO)
    assert hints.leave(HELLO) is None


def test_the_oldest_sessions_hint_goes_first() -> None:
    hints = Hints(capacity=2)
    for number in range(3):
        hints.record(Key("default", str(number)), leave(number))
    assert hints.leave(Key("default", "0")) is None
    assert hints.leave(Key("default", "2")) == leave(2)
