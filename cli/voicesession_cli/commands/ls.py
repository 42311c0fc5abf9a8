"""`kubectl voice ls`: the sessions as a table, once or continuously."""

import json
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject

from voicesession_cli import output
from voicesession_cli.arguments import LsArguments
from voicesession_cli.errors import CommandError, GoneError
from voicesession_cli.kube_client import SESSIONS, KubeApi, path
from voicesession_cli.output import Screen, columns
from voicesession_cli.session_row import SessionRow, table

WATCH_SECONDS: Final = "300"
LISTED: Final = "LISTED"
DELETED: Final = "DELETED"
ERROR: Final = "ERROR"


@dataclass(frozen=True)
class WatchEvent:
    """ADDED, MODIFIED or DELETED with one object, or LISTED with the complete list."""

    type: str
    objects: tuple[JsonObject, ...]


def list_and_watch(api: KubeApi, label: str, path: str) -> Iterator[WatchEvent]:
    """Yield the list and then its changes; list again whenever the watch ends. Raises CommandError."""
    while True:
        listed = api.get(label, path)
        yield WatchEvent(LISTED, tuple(listed["items"]))
        version = listed["metadata"]["resourceVersion"]
        try:
            query = {"watch": "true", "timeoutSeconds": WATCH_SECONDS, "resourceVersion": version}
            for line in api.lines(label, path, **query):
                event = json.loads(line)
                if event["type"] == ERROR:
                    break
                yield WatchEvent(event["type"], (event["object"],))
        except GoneError:
            continue


class BackgroundReader:
    """Reads an iterator in a thread, so that its consumer can wait with a timeout."""

    def __init__(self, source: Iterator[WatchEvent]) -> None:
        self._queue: queue.SimpleQueue[WatchEvent | CommandError] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(source,), daemon=True).start()

    def next(self, timeout: float) -> WatchEvent | None:
        """Return the next event, or None after `timeout` seconds. Raises the CommandError of the source."""
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, CommandError):
            raise item
        return item

    def _run(self, source: Iterator[WatchEvent]) -> None:
        try:
            for event in source:
                self._queue.put(event)
        except CommandError as error:
            self._queue.put(error)


def apply(store: dict[str, JsonObject], event: WatchEvent) -> None:
    """Apply an event to the objects, which are stored by UID."""
    if event.type == LISTED:
        store.clear()
    for raw in event.objects:
        if event.type == DELETED:
            store.pop(raw["metadata"]["uid"], None)
        else:
            store[raw["metadata"]["uid"]] = raw


REDRAW_SECONDS: Final = 1.0
WIDTHS: Final = (16, 10, 8, 6, 8, 5, 6, 15, 24, 4)
"""Column widths for lines that are printed one by one, before the width of later lines is known."""
NAMESPACE_WIDTH: Final = 12


def ls(arguments: LsArguments) -> int:
    """Print the sessions and return the exit code. Raises CommandError."""
    api = KubeApi(arguments.context)
    namespace = "" if arguments.all_namespaces else arguments.namespace or api.namespace
    collection = path(SESSIONS, namespace)
    if arguments.watch:
        return _watch(arguments, BackgroundReader(list_and_watch(api, "voicesessions", collection)))
    sessions = [SessionRow.parse(raw) for raw in api.items("voicesessions", collection)]
    if arguments.json_output:
        now = output.now()
        print(json.dumps([session.render(now) for session in sessions], indent=2))
    elif sessions:
        print(*columns(table(sessions, output.now(), with_namespace=arguments.all_namespaces)), sep="\n")
    else:
        print(f"no voicesessions in {namespace or 'any namespace'}", file=sys.stderr)
    return 0


def _watch(arguments: LsArguments, reader: BackgroundReader) -> int:
    if sys.stdout.isatty() and not arguments.json_output:
        return _redraw(reader, with_namespace=arguments.all_namespaces)
    has_header = False
    while True:
        event = reader.next(REDRAW_SECONDS)
        if event is None:
            continue
        if arguments.json_output:
            _print_json(event)
            continue
        sessions = [SessionRow.parse(raw) for raw in event.objects]
        rows = table(sessions, output.now(), with_namespace=arguments.all_namespaces)
        widths = (NAMESPACE_WIDTH, *WIDTHS) if arguments.all_namespaces else WIDTHS
        lines = columns(rows, widths)
        print(*(lines[1:] if has_header else lines), sep="\n", flush=True)
        has_header = True


def _redraw(reader: BackgroundReader, *, with_namespace: bool) -> int:
    """Draw the table on each event and each second, because ages and durations grow between events."""
    screen, store = Screen(), dict[str, JsonObject]()
    while True:
        event = reader.next(REDRAW_SECONDS)
        if event is not None:
            apply(store, event)
        sessions = [SessionRow.parse(raw) for raw in store.values()]
        screen.draw(columns(table(sessions, output.now(), with_namespace=with_namespace)))


def _print_json(event: WatchEvent) -> None:
    """Print one line for each session; a listed session counts as ADDED."""
    now = output.now()
    event_type = "ADDED" if event.type == LISTED else event.type
    for raw in event.objects:
        print(json.dumps({"type": event_type, "session": SessionRow.parse(raw).render(now)}), flush=True)
