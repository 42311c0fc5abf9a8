"""Columns as kubectl prints them, and a table that is drawn again in its place."""

import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

GAP: Final = 3
UP_AND_CLEAR: Final = "\x1b[{lines}F\x1b[J"


def columns(rows: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> list[str]:
    """Each row as one line; columns are as wide as their longest cell, or as the given widths where these are more."""
    cells = [[cell or "-" for cell in row] for row in rows]
    needed = [max(map(len, column)) for column in zip(*cells, strict=True)]
    least = [*widths, *[0] * (len(needed) - len(widths))]
    wide = [max(*pair) + GAP for pair in zip(needed, least, strict=True)]
    return ["".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in cells]


class Screen:
    """Draws lines over those it drew before; what does not fit on the terminal is left out."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        size = shutil.get_terminal_size()
        shown = [line[: size.columns - 1] for line in lines[: size.lines - 1]]
        if self._drawn:
            self._out.write(UP_AND_CLEAR.format(lines=self._drawn))
        self._out.write("".join(f"{line}\n" for line in shown))
        self._out.flush()
        self._drawn = len(shown)


MINUTE, HOUR, DAY = 60, 3600, 86400
BRIEF: Final = 120
"""Below this many seconds a duration is told in seconds only, as kubectl does."""


def now() -> float:
    return time.time()


def unix(text: str | None) -> float | None:
    """`2026-11-24T11:02:29.639Z` -> 1795518149.639; None stays None."""
    return datetime.fromisoformat(text).timestamp() if text else None


def rfc3339(at: float) -> str:
    """The reverse, in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: float) -> str:
    """`11:02:29.639`, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """At most two units: `0s`, `95s`, `2m5s`, `3h20m`, `4d2h`."""
    whole = max(int(seconds), 0)
    if whole < BRIEF:
        return f"{whole}s"
    for unit, letter, smaller, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "m"), (MINUTE, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit}{letter}" + (f"{rest}{small}" if rest else "")
    return f"{whole}s"


def precise(seconds: float) -> str:
    """With milliseconds below a minute, where they matter: `5.230s`, else as `span`."""
    return f"{seconds:.3f}s" if seconds < MINUTE else span(seconds)
