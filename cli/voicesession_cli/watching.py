"""A list and every change to it, for ever: a watch that ends or is forgotten begins anew with a list."""

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli.api import Api
from voicesession_cli.errors import CommandError, GoneError

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
