"""Which tests run beside others and which alone, where several processes run them (`pytest -n 2 --dist loadgroup`).

Whatever a test has made itself it may use beside others. A test of speech needs the machine, and a disruptive one the
release, for itself: these come last, all in one process, and begin when no other process has a test left.
"""

import fcntl
from collections.abc import Generator
from pathlib import Path

import pytest

ALONE = ("speech", "disruptive")
GROUP = "xdist_group"
"""Tests of one group run in one process, one after the other; pytest-xdist knows the mark by this name."""


def is_alone(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ALONE)


def arrange(items: list[pytest.Item]) -> None:
    """What needs no cluster comes first, groups before single tests since they take longest, who runs alone last."""
    items.sort(key=_place)
    for item in items:
        if is_alone(item):
            item.add_marker(pytest.mark.xdist_group("alone"))


def _place(item: pytest.Item) -> tuple[bool, bool, bool]:
    in_cluster = item.get_closest_marker("cluster") is not None
    return is_alone(item), in_cluster, in_cluster and item.get_closest_marker(GROUP) is None


class Turn:
    """A lock that many hold who run beside each other, or one who runs alone."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def begin(self, *, alone: bool) -> None:
        """Wait for one's turn; nothing happens where it goes on."""
        fcntl.flock(self._file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)

    def end(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


class Turns:
    """Makes one process of several wait; the wait counts in no test's time or timeout.

    A turn goes on from test to test of the same kind, so that nobody who runs beside others gets between two who run
    alone: fixtures of whole modules live on between them.
    """

    def __init__(self) -> None:
        self._turn = Turn(Path(__file__))  # any file that all processes see, and two runs of one checkout too

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        self._turn.begin(alone=is_alone(item))
        try:
            return (yield)
        finally:
            if nextitem is None or is_alone(nextitem) != is_alone(item):
                self._turn.end()
