"""Polling with a deadline: the only way tests wait."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05


def until(check: Callable[[], T | None], what: str, seconds: float, poll: float = POLL_SECONDS) -> T:
    """The first true answer of `check`. Raises AssertionError naming `what` and the last answer when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s (last answer: {answer!r})")
        time.sleep(poll)


def always(check: Callable[[], bool], what: str, seconds: float) -> None:
    """Raises AssertionError the moment `check` is false within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check(), what
        time.sleep(POLL_SECONDS)
