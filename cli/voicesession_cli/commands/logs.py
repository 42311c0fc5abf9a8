"""`kubectl voice logs NAME`: what agent and operator have written about one session."""

import heapq
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli import kube_client as operators
from voicesession_cli.arguments import Logs
from voicesession_cli.errors import TROUBLE, BadRequestError, CommandError, ForbiddenError, ObjectNotFoundError
from voicesession_cli.kube_client import PODS, SESSION_UID, Api, path
from voicesession_cli.output import clock, rfc3339, unix
from voicesession_cli.session_row import Sight

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


OVERLAP_SECONDS: Final = 10
"""What is read again: a line may come late, or be about the session only now that a pod's name is known."""


class Tail:
    """Reads pods, and remembers how far, and which lines were told."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._since = dict[str, float]()
        """By pod, in whole seconds: Kubernetes drops the rest."""
        self._told = Counter[Entry]()
        self.trouble: CommandError | None = None
        """Why the latest reading of some pod failed; what it missed comes with the next one."""

    def read(self, source: str, pod: Json) -> list[Entry]:
        """Of the container that is called as its source. Nothing of a pod that is gone by now, or has no log yet.

        Raises ForbiddenError; any other failure becomes `trouble`, and the other pods can still be read.
        """
        name = pod["metadata"]["name"]
        try:
            found = [entry for previous in _runs(source, pod) for entry in self._lines(source, pod, previous)]
        except ForbiddenError:
            raise
        except CommandError as error:
            self.trouble = error
            return []
        if found:
            last = max(entry.at for entry in found)
            self._since[name] = max(self._since.get(name, 0.0), float(int(last) - OVERLAP_SECONDS))
        return found

    def news(self, found: list[Entry]) -> list[Entry]:
        """Those of the entries that were not told yet, which then are; two that are alike count as two."""
        seen, new = Counter[Entry](), list[Entry]()
        for entry in found:
            seen[entry] += 1
            if seen[entry] > self._told[entry]:
                new.append(entry)
        told = self._told | seen
        self._told = Counter({e: count for e, count in told.items() if e.at >= self._since.get(e.pod, 0.0)})
        return new

    def _lines(self, source: str, pod: Json, previous: str) -> list[Entry]:
        meta = pod["metadata"]
        query = {"container": source, "timestamps": "true", "previous": previous}
        if meta["name"] in self._since:
            query["sinceTime"] = rfc3339(self._since[meta["name"]])
        place = path(PODS, meta["namespace"], meta["name"], "log")
        try:
            return entries(source, meta["name"], self._api.lines(f"the log of {meta['name']}", place, **query))
        except (ObjectNotFoundError, BadRequestError):
            return []


def _runs(source: str, pod: Json) -> tuple[str, ...]:
    """What ran before a restart comes first."""
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    restarted = any(state.get("restartCount") for state in states if state["name"] == source)
    return ("true", "false") if restarted else ("false",)


FOLLOW_SECONDS: Final = 1.0


def logs(options: Logs) -> int:
    """Returns the exit code: 1 where a pod could not be read. Raises CommandError."""
    api = Api(options.context)
    what, place = api.session(options.session, options.namespace)
    sight, tail, complaint = Sight.of(api.get(what, place)), Tail(api), ""
    while True:
        tail.trouble = None
        for entry in tail.news(_journal(api, tail, sight, options.operator_namespace or "")):
            print(json.dumps(entry.render()) if options.json_output else entry.line(), flush=True)
        complaint = _complain(tail, complaint)
        if not options.follow or sight.is_finished:
            return TROUBLE if complaint else 0
        time.sleep(FOLLOW_SECONDS)
        try:
            sight = Sight.of(api.get(what, place))
        except ObjectNotFoundError:
            return 0


def _complain(tail: Tail, before: str) -> str:
    """What is wrong with this round, and said unless it was wrong with the one before."""
    now = str(tail.trouble or "")
    if now and now != before:
        print(now, file=sys.stderr, flush=True)
    return now


def _journal(api: Api, tail: Tail, sight: Sight, operator_namespace: str) -> list[Entry]:
    selector = f"{SESSION_UID}={sight.uid}"
    agents = api.items("agent pods", path(PODS, sight.namespace), labelSelector=selector)
    labelled = api.items("operator pods", path(PODS, operator_namespace), labelSelector=operators.SELECTOR)
    ours = [pod for pod in labelled if operators.is_operator(pod["spec"])]
    names = {pod["metadata"]["name"] for pod in agents}
    marks = frozenset({sight.uid, f"{sight.namespace}/{sight.name}", sight.room, sight.pod, *names} - {""})
    return merge([tail.read("agent", pod) for pod in agents], [tail.read("operator", pod) for pod in ours], marks)
