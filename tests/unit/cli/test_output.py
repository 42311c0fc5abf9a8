"""Output: durations, and a table that is drawn in place."""

import io
import os

import pytest
from voicesession_cli import output
from voicesession_cli.output import Screen, format_duration


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0s"), (95, "95s"), (125, "2m5s"), (12000, "3h20m"), (86400, "1d")])
def test_format_duration_uses_at_most_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def set_terminal_size(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setattr(output.shutil, "get_terminal_size", lambda: os.terminal_size((columns, lines)))


def test_screen_replaces_previous_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_size(monkeypatch, 80, 24)
    out = io.StringIO()
    screen = Screen(out)
    for lines in (["one", "two"], ["three"], []):
        screen.draw(lines)
    assert out.getvalue() == "one\ntwo\n\x1b[2F\x1b[Jthree\n\x1b[1F\x1b[J"


def test_screen_cuts_lines_and_columns_at_terminal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_size(monkeypatch, 6, 3)
    out = io.StringIO()
    screen = Screen(out)
    screen.draw(["123456789", "2", "3", "4"])
    screen.draw(["short"])
    assert out.getvalue() == "12345\n2\n\x1b[2F\x1b[Jshort\n"
