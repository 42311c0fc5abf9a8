"""Polling with a deadline: the only way tests wait."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 0.25
SHARE = 0.1


def until(check: Callable[[], T | None], what: str, seconds: float, poll: float = 0.0) -> T:
    """The first true answer of `check`. Raises AssertionError naming `what` and the last answer when time is up.

    `poll` is for what is measured. Without it a pause is a tenth of the wait so far: each question is a process of
    kubectl, on the very cores that are waited for.
    """
    begin = time.monotonic()
    while True:
        answer = check()
        if answer:
            return answer
        waited = time.monotonic() - begin
        if waited > seconds:
            raise AssertionError(f"{what}: not within {seconds:g} s (last answer: {answer!r})")
        time.sleep(poll or min(max(POLL_SECONDS, SHARE * waited), LONGEST_POLL_SECONDS))


def always(check: Callable[[], bool], what: str, seconds: float) -> None:
    """Raises AssertionError the moment `check` is false within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check(), what
        time.sleep(POLL_SECONDS)


def settles(check: Callable[[], bool], what: str, stretch: float, seconds: float, poll: float = POLL_SECONDS) -> None:
    """`check` is true for `stretch` seconds on end, which begin within `seconds`; else raises AssertionError."""
    begin = since = time.monotonic()
    while time.monotonic() - since < stretch:
        if not check():
            since = time.monotonic()
            assert since - begin <= seconds, f"{what}: not for {stretch:g} s on end within {seconds:g} s"
        time.sleep(poll)
