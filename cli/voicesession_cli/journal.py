"""Log lines of several pods as one journal of one session. Pure."""

import heapq
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli.times import clock, unix

Json = dict[str, Any]
SHOWN_APART: Final = frozenset({"time", "level", "logger", "message"})
NANOSECONDS: Final = 26
"""Characters of a timestamp up to its microseconds; Kubernetes writes nine digits and Python reads six."""


@dataclass(frozen=True, order=True)
class Entry:
    """`at` is when the node took the line, in Unix seconds; `fields` is empty for a line that is not JSON."""

    at: float
    source: str
    pod: str
    text: str

    @property
    def fields(self) -> Json:
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def line(self) -> str:
        """For people."""
        fields = self.fields
        rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in SHOWN_APART)
        words = f"{fields.get('message', self.text)} {rest}".strip()
        return f"{clock(self.at)} {self.source:8} {fields.get('level', ''):8}{words}"

    def render(self) -> Json:
        return {"at": self.at, "source": self.source, "pod": self.pod, "line": self.fields or self.text}


def entries(source: str, pod: str, lines: Iterable[str]) -> list[Entry]:
    """From lines as the API server gives them with timestamps, in their order."""
    found = []
    for line in lines:
        stamp, _, text = line.partition(" ")
        at = unix(stamp.rstrip("Z")[:NANOSECONDS] + "+00:00") if text else None
        if at is not None:
            found.append(Entry(at, source, pod, text))
    return found


def concerns(entry: Entry, marks: frozenset[str]) -> bool:
    """Whether one of a line's fields is the session's `namespace/name`, UID, room or pod."""
    return any(isinstance(value, str) and value in marks for value in entry.fields.values())


def merge(agents: Iterable[list[Entry]], operators: Iterable[list[Entry]], marks: frozenset[str]) -> list[Entry]:
    """All that agents wrote, and of the operators' lines those about the session, in order of time."""
    about = ([entry for entry in found if concerns(entry, marks)] for found in operators)
    return list(heapq.merge(*agents, *about))
