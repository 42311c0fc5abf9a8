"""Columns as kubectl prints them, and a table that is drawn again in its place."""

import shutil
import sys
from collections.abc import Iterable, Sequence
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
