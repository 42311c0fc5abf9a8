"""`kubectl voice ls --watch`: a list and its changes, waited for in a thread, drawn on a screen or printed as lines."""

import io
import json
import os
from collections.abc import Iterator
from typing import Any, cast

import pytest
from voicesession_cli import output as table
from voicesession_cli.arguments import Ls
from voicesession_cli.commands import ls as command
from voicesession_cli.commands.ls import Change, Pump, apply, changes, ls
from voicesession_cli.errors import CommandError, GoneError
from voicesession_cli.kube_client import SESSIONS, Api, path
from voicesession_cli.output import Screen

from tests.support.fakes.cli_api import Json, StandIn, session

PLACE = path(SESSIONS, "calls")
OVER = CommandError("the test is over")


class Watched(StandIn):
    """Each watch gives the next of these: changes, and perhaps an error after them."""

    def __init__(self, *watches: list[Json | CommandError]) -> None:
        super().__init__()
        self.watches = list(watches)
        self.there = [session("a")]

    def get(self, what: str, place: str, **query: str) -> Json:
        self.asked.append((place, query))
        return {"metadata": {"resourceVersion": str(len(self.asked))}, "items": self.there}

    def lines(self, what: str, place: str, **query: str) -> Iterator[str]:
        self.asked.append((place, query))
        for told in self.watches.pop(0):
            if isinstance(told, CommandError):
                raise told
            yield json.dumps(told)


def change(kind: str, name: str, **status: Any) -> Json:
    return {"type": kind, "object": session(name, **status)}


def kinds(api: Watched) -> list[tuple[str, list[str]]]:
    """Until the test is over."""
    found = list[tuple[str, list[str]]]()

    def follow() -> None:
        for told in changes(cast(Api, api), "voicesessions", PLACE):
            found.append((told.kind, [raw["metadata"]["name"] for raw in told.objects]))

    with pytest.raises(CommandError, match="the test is over"):
        follow()
    return found


def test_a_watch_begins_where_the_list_ends() -> None:
    api = Watched([change("ADDED", "b"), change("DELETED", "a"), OVER])
    assert kinds(api) == [("LISTED", ["a"]), ("ADDED", ["b"]), ("DELETED", ["a"])]
    assert api.asked[1] == (PLACE, {"watch": "true", "timeoutSeconds": "300", "resourceVersion": "1"})


@pytest.mark.parametrize("end", [[], [GoneError("moved on")], [{"type": "ERROR", "object": {"code": 410}}]])
def test_a_watch_that_ends_begins_anew_with_a_list(end: list[Json | CommandError]) -> None:
    api = Watched([change("ADDED", "b"), *end], [OVER])
    assert [kind for kind, _ in kinds(api)] == ["LISTED", "ADDED", "LISTED"]
    assert api.asked[-1][1]["resourceVersion"] == "3"


def test_what_is_known_follows_the_changes() -> None:
    known = dict[str, Json]()
    apply(known, Change("LISTED", (session("a"), session("b"))))
    apply(known, Change("MODIFIED", (session("a", humans=1),)))
    apply(known, Change("ADDED", (session("c"),)))
    apply(known, Change("DELETED", (session("b"),)))
    apply(known, Change("DELETED", (session("nobody"),)))
    assert {uid: raw["status"] for uid, raw in known.items()} == {"uid-a": {"humans": 1}, "uid-c": {}}
    apply(known, Change("LISTED", (session("d"),)))
    assert list(known) == ["uid-d"], "what went while nobody watched"


def test_a_pump_hands_on_what_came_and_what_went_wrong() -> None:
    def source() -> Iterator[Change]:
        yield Change("LISTED", ())
        raise OVER

    pump = Pump(source())
    assert pump.next(5) == Change("LISTED", ())
    with pytest.raises(CommandError, match="the test is over"):
        pump.next(5)
    assert pump.next(0) is None


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setattr(table.shutil, "get_terminal_size", lambda: os.terminal_size((columns, lines)))


def test_a_screen_draws_over_what_it_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 80, 24)
    out = io.StringIO()
    screen = Screen(out)
    for lines in (["one", "two"], ["three"], []):
        screen.draw(lines)
    assert out.getvalue() == "one\ntwo\n\x1b[2F\x1b[Jthree\n\x1b[1F\x1b[J"


def test_what_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, 6, 3)
    out = io.StringIO()
    screen = Screen(out)
    screen.draw(["123456789", "2", "3", "4"])
    screen.draw(["short"])
    assert out.getvalue() == "12345\n2\n\x1b[2F\x1b[Jshort\n"


def watch(
    api: Watched, monkeypatch: pytest.MonkeyPatch, *, json_output: bool = False, everywhere: bool = False
) -> None:
    api.instead_of("commands.ls", monkeypatch)
    given = Ls(context=None, json_output=json_output, namespace=None, all_namespaces=everywhere, watch=True)
    with pytest.raises(CommandError, match="the test is over"):
        ls(given)


def test_piped_each_change_is_a_line_below_one_header(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(Watched([change("MODIFIED", "a", phase="Active"), change("ADDED", "b"), OVER]), monkeypatch)
    cells = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert cells == [
        ["NAME", "AGENT", "PHASE"],
        ["a", "fake", "Pending"],
        ["a", "fake", "Active"],
        ["b", "fake", "Pending"],
    ]


def test_of_all_namespaces_each_line_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = Watched([OVER])
    watch(api, monkeypatch, everywhere=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAMESPACE", "calls"]
    assert api.asked[0][0] == SESSIONS


def test_for_programs_each_change_is_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(Watched([change("DELETED", "a"), OVER]), monkeypatch, json_output=True)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["type"], one["session"]["name"]) for one in told] == [("ADDED", "a"), ("DELETED", "a")]


class Scripted(Pump):
    """Gives these one after the other; None is a second without news."""

    def __init__(self, *told: Change | None) -> None:
        self.told = list(told)

    def next(self, seconds: float) -> Change | None:
        if not self.told:
            raise OVER
        return self.told.pop(0)


def test_on_a_terminal_the_table_is_drawn_anew_each_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch, 200, 24)
    clock = iter((60.0, 61.0, 62.0))
    monkeypatch.setattr(command.times, "now", lambda: session_began() + next(clock))
    pump = Scripted(Change("LISTED", (session("a"), session("b"))), None, Change("DELETED", (session("a"),)))
    monkeypatch.setattr(command, "Pump", lambda _: pump)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    watch(Watched(), monkeypatch)
    pictures = capsys.readouterr().out.split("\x1b[J")
    rows = [[line.split()[::9] for line in picture.splitlines() if line.startswith(("a", "b"))] for picture in pictures]
    assert rows == [[["a", "60s"], ["b", "60s"]], [["a", "61s"], ["b", "61s"]], [["b", "62s"]]]


def session_began() -> float:
    return command.Sight.of(session("a")).created_at
