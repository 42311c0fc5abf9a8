"""Waiting for what lasts: a moment of it is not enough, and whoever never calms down is not waited for without end."""

from itertools import chain, count, repeat

import pytest

from tests.e2e import waiting
from tests.e2e.waiting import settles


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second goes by whenever somebody looks at it."""
    seconds = count()
    monkeypatch.setattr(waiting.time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(waiting.time, "sleep", lambda _: None)


def test_it_has_to_last() -> None:
    told = chain([True, False, True, True, False], repeat(True))
    asked: list[bool] = []

    def check() -> bool:
        asked.append(next(told))
        return asked[-1]

    settles(check, "calm", stretch=5, seconds=60)
    assert asked[:5] == [True, False, True, True, False]
    assert len(asked) > 8


def test_what_does_not_last_is_given_up_in_time() -> None:
    told = chain.from_iterable(repeat([True, False]))
    with pytest.raises(AssertionError, match="calm: not for 5 s on end within 20 s"):
        settles(lambda: next(told), "calm", stretch=5, seconds=20)
