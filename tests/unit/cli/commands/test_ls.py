"""`ls --watch`: the list and its changes, drawn on a terminal or printed as lines."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from voicesession_cli.arguments import LsArguments
from voicesession_cli.commands import ls as command
from voicesession_cli.commands.ls import BackgroundReader, WatchEvent, apply, list_and_watch, ls
from voicesession_cli.errors import CommandError, GoneError
from voicesession_cli.kube_client import SESSIONS, KubeApi, path
from voicesession_common import JsonObject

from tests.support.fakes.cli_api import START, FakeKubeApi, session
from tests.unit.cli.test_output import set_terminal_size

COLLECTION = path(SESSIONS, "calls")
END_OF_TEST = CommandError("end of the test")


class WatchedApi(FakeKubeApi):
    """Lists session `a`; each watch returns the next of `watches`: events, and perhaps an error after them."""

    def __init__(self, *watches: list[JsonObject | CommandError]) -> None:
        super().__init__()
        self.watches = list(watches)
        self.listed = [session("a")]

    def get(self, label: str, path: str, **query: str) -> JsonObject:
        self.requests.append((path, query))
        return {"metadata": {"resourceVersion": str(len(self.requests))}, "items": self.listed}

    def lines(self, label: str, path: str, **query: str) -> Iterator[str]:
        self.requests.append((path, query))
        for event in self.watches.pop(0):
            if isinstance(event, CommandError):
                raise event
            yield json.dumps(event)


def raw_event(event_type: str, name: str, **status: Any) -> JsonObject:
    return {"type": event_type, "object": session(name, **status)}


def watched_names(api: WatchedApi) -> list[tuple[str, list[str]]]:
    """Return types and names of all events up to the end of the test."""
    found = list[tuple[str, list[str]]]()

    def follow() -> None:
        for event in list_and_watch(cast(KubeApi, api), "voicesessions", COLLECTION):
            found.append((event.type, [raw["metadata"]["name"] for raw in event.objects]))

    with pytest.raises(CommandError, match="end of the test"):
        follow()
    return found


def test_watch_starts_at_resource_version_of_list() -> None:
    api = WatchedApi([raw_event("ADDED", "b"), raw_event("DELETED", "a"), END_OF_TEST])
    assert watched_names(api) == [("LISTED", ["a"]), ("ADDED", ["b"]), ("DELETED", ["a"])]
    assert api.requests[1] == (COLLECTION, {"watch": "true", "timeoutSeconds": "300", "resourceVersion": "1"})


@pytest.mark.parametrize("end", [[], [GoneError("expired")], [{"type": "ERROR", "object": {"code": 410}}]])
def test_ended_watch_is_followed_by_new_list(end: list[JsonObject | CommandError]) -> None:
    api = WatchedApi([raw_event("ADDED", "b"), *end], [END_OF_TEST])
    assert [event_type for event_type, _ in watched_names(api)] == ["LISTED", "ADDED", "LISTED"]
    assert api.requests[-1][1]["resourceVersion"] == "3"


def test_store_follows_events() -> None:
    store = dict[str, JsonObject]()
    apply(store, WatchEvent("LISTED", (session("a"), session("b"))))
    apply(store, WatchEvent("MODIFIED", (session("a", humans=1),)))
    apply(store, WatchEvent("ADDED", (session("c"),)))
    apply(store, WatchEvent("DELETED", (session("b"),)))
    apply(store, WatchEvent("DELETED", (session("unknown"),)))
    assert {uid: raw["status"] for uid, raw in store.items()} == {"uid-a": {"humans": 1}, "uid-c": {}}
    apply(store, WatchEvent("LISTED", (session("d"),)))
    assert list(store) == ["uid-d"], "a list replaces objects that were deleted between two watches"


def test_background_reader_returns_events_and_raises_errors() -> None:
    def source() -> Iterator[WatchEvent]:
        yield WatchEvent("LISTED", ())
        raise END_OF_TEST

    reader = BackgroundReader(source())
    assert reader.next(5) == WatchEvent("LISTED", ())
    with pytest.raises(CommandError, match="end of the test"):
        reader.next(5)
    assert reader.next(0) is None


def watch(
    api: WatchedApi, monkeypatch: pytest.MonkeyPatch, *, json_output: bool = False, all_namespaces: bool = False
) -> None:
    api.patch_into("commands.ls", monkeypatch)
    arguments = LsArguments(
        context=None, json_output=json_output, namespace=None, all_namespaces=all_namespaces, watch=True
    )
    with pytest.raises(CommandError, match="end of the test"):
        ls(arguments)


def test_piped_watch_prints_each_change_below_header(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = WatchedApi([raw_event("MODIFIED", "a", phase="Active"), raw_event("ADDED", "b"), END_OF_TEST])
    watch(api, monkeypatch)
    cells = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert cells == [
        ["NAME", "AGENT", "PHASE"],
        ["a", "fake", "Pending"],
        ["a", "fake", "Active"],
        ["b", "fake", "Pending"],
    ]


def test_watch_of_all_namespaces_prints_namespace_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = WatchedApi([END_OF_TEST])
    watch(api, monkeypatch, all_namespaces=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAMESPACE", "calls"]
    assert api.requests[0][0] == SESSIONS


def test_json_watch_prints_object_per_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(WatchedApi([raw_event("DELETED", "a"), END_OF_TEST]), monkeypatch, json_output=True)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(event["type"], event["session"]["name"]) for event in printed] == [("ADDED", "a"), ("DELETED", "a")]


class ScriptedReader(BackgroundReader):
    """Returns the given events one after another; None stands for a second without an event."""

    def __init__(self, *events: WatchEvent | None) -> None:
        self.events = list(events)

    def next(self, timeout: float) -> WatchEvent | None:
        if not self.events:
            raise END_OF_TEST
        return self.events.pop(0)


def test_terminal_watch_redraws_table_each_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_terminal_size(monkeypatch, 200, 24)
    ages = iter((60.0, 61.0, 62.0))
    monkeypatch.setattr(command.output, "now", lambda: START + next(ages))
    reader = ScriptedReader(
        WatchEvent("LISTED", (session("a"), session("b"))), None, WatchEvent("DELETED", (session("a"),))
    )
    monkeypatch.setattr(command, "BackgroundReader", lambda _: reader)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    watch(WatchedApi(), monkeypatch)
    drawings = capsys.readouterr().out.split("\x1b[J")
    rows = [[line.split()[::9] for line in drawing.splitlines() if line.startswith(("a", "b"))] for drawing in drawings]
    assert rows == [[["a", "60s"], ["b", "60s"]], [["a", "61s"], ["b", "61s"]], [["b", "62s"]]]
