"""Text for the terminal: columns as kubectl prints them, a table drawn in place, times and durations."""

import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

GAP: Final = 3
UP_AND_CLEAR: Final = "\x1b[{lines}F\x1b[J"


def columns(rows: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> list[str]:
    """Return each row as one line; a column is as wide as its longest cell, and at least its given width."""
    cells = [[cell or "-" for cell in row] for row in rows]
    needed = [max(map(len, column)) for column in zip(*cells, strict=True)]
    minimum = [*widths, *[0] * (len(needed) - len(widths))]
    wide = [max(*pair) + GAP for pair in zip(needed, minimum, strict=True)]
    return ["".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in cells]


class Screen:
    """Replaces the lines of the previous drawing; lines and columns beyond the terminal's size are left out."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Draw the lines in place of the previous ones."""
        size = shutil.get_terminal_size()
        shown = [line[: size.columns - 1] for line in lines[: size.lines - 1]]
        if self._drawn:
            self._out.write(UP_AND_CLEAR.format(lines=self._drawn))
        self._out.write("".join(f"{line}\n" for line in shown))
        self._out.flush()
        self._drawn = len(shown)


MINUTE, HOUR, DAY = 60, 3600, 86400
BRIEF_SECONDS: Final = 120
"""A shorter duration is printed in seconds only, as kubectl does."""


def now() -> float:
    """Return the current time in Unix seconds."""
    return time.time()


def clock(at: float) -> str:
    """Return the time of day in UTC: `11:02:29.639`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def format_duration(seconds: float) -> str:
    """Return a duration in at most two units: `0s`, `95s`, `2m5s`, `3h20m`, `4d2h`."""
    whole = max(int(seconds), 0)
    if whole < BRIEF_SECONDS:
        return f"{whole}s"
    for unit, letter, smaller, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "m"), (MINUTE, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit}{letter}" + (f"{rest}{small}" if rest else "")
    return f"{whole}s"


def format_precise_duration(seconds: float) -> str:
    """Return a duration below a minute with milliseconds, such as `5.230s`, and a longer one in two units."""
    return f"{seconds:.3f}s" if seconds < MINUTE else format_duration(seconds)
