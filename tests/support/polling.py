"""Polling with a deadline, the only way in which tests wait."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 0.25
POLL_SHARE = 0.1
"""Length of a pause as a share of the time waited so far."""


def until(check: Callable[[], T | None], description: str, seconds: float, poll: float = 0.0) -> T:
    """Return the first true result of `check`.

    Raise AssertionError with the description and the last result after `seconds`. Pass `poll` when the time itself is
    measured. By default, pauses grow with the time waited so far: each check takes CPU time from the awaited programs.
    """
    begin = time.monotonic()
    while True:
        result = check()
        if result:
            return result
        waited = time.monotonic() - begin
        if waited > seconds:
            raise AssertionError(f"{description}: not within {seconds:g} s (last result: {result!r})")
        time.sleep(poll or min(max(POLL_SECONDS, POLL_SHARE * waited), LONGEST_POLL_SECONDS))


def always(check: Callable[[], bool], description: str, seconds: float) -> None:
    """Raise AssertionError as soon as `check` is false within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check(), description
        time.sleep(POLL_SECONDS)


def settles(
    check: Callable[[], bool], description: str, stretch: float, seconds: float, poll: float = POLL_SECONDS
) -> None:
    """Wait until `check` stays true for `stretch` seconds; raise AssertionError if this does not begin in `seconds`."""
    begin = since = time.monotonic()
    while time.monotonic() - since < stretch:
        if not check():
            since = time.monotonic()
            assert since - begin <= seconds, f"{description}: not for {stretch:g} s in a row within {seconds:g} s"
        time.sleep(poll)
