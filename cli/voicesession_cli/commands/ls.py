"""`kubectl voice ls`: the sessions as a table, once or live."""

import json
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli import output as times
from voicesession_cli.arguments import Ls
from voicesession_cli.errors import CommandError, GoneError
from voicesession_cli.kube_client import SESSIONS, Api, path
from voicesession_cli.output import Screen, columns
from voicesession_cli.session_row import Sight, table

Json = dict[str, Any]
WATCH_SECONDS: Final = "300"
LISTED: Final = "LISTED"
DELETED: Final = "DELETED"
ERROR: Final = "ERROR"


@dataclass(frozen=True)
class Change:
    """`kind` ADDED, MODIFIED or DELETED of one object, or LISTED: these are all there are."""

    kind: str
    objects: tuple[Json, ...]


def changes(api: Api, what: str, path: str) -> Iterator[Change]:
    """Blocks between changes. Raises CommandError."""
    while True:
        listed = api.get(what, path)
        yield Change(LISTED, tuple(listed["items"]))
        version = listed["metadata"]["resourceVersion"]
        try:
            query = {"watch": "true", "timeoutSeconds": WATCH_SECONDS, "resourceVersion": version}
            for line in api.lines(what, path, **query):
                told = json.loads(line)
                if told["type"] == ERROR:
                    break
                yield Change(told["type"], (told["object"],))
        except GoneError:
            continue


class Pump:
    """Reads an iterator in a thread of its own, so that its reader can wait for a while only."""

    def __init__(self, source: Iterator[Change]) -> None:
        self._queue: queue.SimpleQueue[Change | CommandError] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(source,), daemon=True).start()

    def next(self, seconds: float) -> Change | None:
        """None where nothing came in time. Raises CommandError."""
        try:
            got = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(got, CommandError):
            raise got
        return got

    def _run(self, source: Iterator[Change]) -> None:
        try:
            for change in source:
                self._queue.put(change)
        except CommandError as error:
            self._queue.put(error)


def apply(known: dict[str, Json], change: Change) -> None:
    """Bring what is known, by UID, up to date."""
    if change.kind == LISTED:
        known.clear()
    for raw in change.objects:
        if change.kind == DELETED:
            known.pop(raw["metadata"]["uid"], None)
        else:
            known[raw["metadata"]["uid"]] = raw


TICK_SECONDS: Final = 1.0
WIDTHS: Final = (16, 10, 8, 6, 8, 5, 6, 15, 24, 4)
"""For lines that are printed one by one: nobody knows yet how wide the next one is."""
NAMESPACE_WIDTH: Final = 12


def ls(options: Ls) -> int:
    """Returns the exit code. Raises CommandError."""
    api = Api(options.context)
    namespace = "" if options.all_namespaces else options.namespace or api.namespace
    place = path(SESSIONS, namespace)
    if options.watch:
        return _watch(options, Pump(changes(api, "voicesessions", place)))
    sights = [Sight.of(raw) for raw in api.items("voicesessions", place)]
    if options.json_output:
        now = times.now()
        print(json.dumps([sight.render(now) for sight in sights], indent=2))
    elif sights:
        print(*columns(table(sights, times.now(), with_namespace=options.all_namespaces)), sep="\n")
    else:
        print(f"no voicesessions in {namespace or 'any namespace'}", file=sys.stderr)
    return 0


def _watch(options: Ls, pump: Pump) -> int:
    if sys.stdout.isatty() and not options.json_output:
        return _redraw(pump, with_namespace=options.all_namespaces)
    headed = False
    while True:
        change = pump.next(TICK_SECONDS)
        if change is None:
            continue
        if options.json_output:
            _print_json(change)
            continue
        rows = table([Sight.of(raw) for raw in change.objects], times.now(), with_namespace=options.all_namespaces)
        widths = (NAMESPACE_WIDTH, *WIDTHS) if options.all_namespaces else WIDTHS
        lines = columns(rows, widths)
        print(*(lines[1:] if headed else lines), sep="\n", flush=True)
        headed = True


def _redraw(pump: Pump, *, with_namespace: bool) -> int:
    """Ages and talks grow between changes, so it draws each second."""
    screen, known = Screen(), dict[str, Json]()
    while True:
        change = pump.next(TICK_SECONDS)
        if change is not None:
            apply(known, change)
        rows = table([Sight.of(raw) for raw in known.values()], times.now(), with_namespace=with_namespace)
        screen.draw(columns(rows))


def _print_json(change: Change) -> None:
    """One line for each session; those that were there already are told as ADDED."""
    now = times.now()
    kind = "ADDED" if change.kind == LISTED else change.kind
    for raw in change.objects:
        print(json.dumps({"type": kind, "session": Sight.of(raw).render(now)}), flush=True)
