"""`kubectl voice logs NAME`: the agent and operator logs of one session, in order of time."""

import heapq
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from time import sleep
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import SESSION_UID_LABEL
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339

from voicesession_cli.arguments import LogsArguments
from voicesession_cli.errors import EXIT_PROBLEM, BadRequestError, CommandError, ForbiddenError, ObjectNotFoundError
from voicesession_cli.kube_client import OPERATOR_SELECTOR, PODS, KubeApi, is_operator, path
from voicesession_cli.output import clock
from voicesession_cli.session_row import SessionRow

SEPARATE_FIELDS: Final = frozenset({"time", "level", "logger", "message"})
"""Fields that are left out of the `key=value` list of a line."""
MICROSECONDS_LENGTH: Final = 26
"""Length of a timestamp with microseconds; Kubernetes writes nine digits, and Python parses six."""


@dataclass(frozen=True, order=True)
class LogEntry:
    """One line of a container's log; `at` is the node's timestamp in Unix seconds."""

    at: float
    source: str
    pod: str
    text: str

    @property
    def fields(self) -> JsonObject:
        """Return the fields of a JSON line; empty for any other line."""
        try:
            parsed = json.loads(self.text)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    def line(self) -> str:
        """Return the entry as text."""
        fields = self.fields
        rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in SEPARATE_FIELDS)
        message = f"{fields.get('message', self.text)} {rest}".strip()
        return f"{clock(self.at)} {self.source:8} {fields.get('level', ''):8}{message}"

    def render(self) -> JsonObject:
        """Return the entry for JSON output."""
        return {"at": self.at, "source": self.source, "pod": self.pod, "line": self.fields or self.text}


def parse_entries(source: str, pod: str, lines: Iterable[str]) -> list[LogEntry]:
    """Return the entries of lines that the API server sent with timestamps, in their order."""
    entries = []
    for line in lines:
        timestamp, _, text = line.partition(" ")
        at = from_rfc3339(timestamp.rstrip("Z")[:MICROSECONDS_LENGTH] + "+00:00") if text else None
        if at is not None:
            entries.append(LogEntry(at, source, pod, text))
    return entries


def concerns_session(entry: LogEntry, identifiers: frozenset[str]) -> bool:
    """Return whether a field of the line is the session's `namespace/name`, UID, room or pod."""
    return any(isinstance(value, str) and value in identifiers for value in entry.fields.values())


def merge(
    agents: Iterable[list[LogEntry]], operators: Iterable[list[LogEntry]], identifiers: frozenset[str]
) -> list[LogEntry]:
    """Merge all agent lines and the operator lines about the session, in order of time."""
    about = ([entry for entry in entries if concerns_session(entry, identifiers)] for entries in operators)
    return list(heapq.merge(*agents, *about))


OVERLAP_SECONDS: Final = 10
"""Read this much again: a line may arrive late, or match the session only after the name of its pod is known."""


class LogReader:
    """Reads pod logs repeatedly and skips the lines that it returned before."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._since = dict[str, float]()
        """By pod, in whole seconds: Kubernetes ignores the fraction."""
        self._returned = Counter[LogEntry]()
        self.error: CommandError | None = None
        """Error of the latest failed read; the next read returns the missed lines."""

    def read(self, source: str, pod: JsonObject) -> list[LogEntry]:
        """Return the entries of the container named `source`; empty if the pod is gone or has no log yet.

        Raises ForbiddenError. Any other failure is stored in `error`, and other pods remain readable.
        """
        name = pod["metadata"]["name"]
        try:
            entries = [entry for previous in _runs(source, pod) for entry in self._entries(source, pod, previous)]
        except ForbiddenError:
            raise
        except CommandError as error:
            self.error = error
            return []
        if entries:
            last = max(entry.at for entry in entries)
            self._since[name] = max(self._since.get(name, 0.0), float(int(last) - OVERLAP_SECONDS))
        return entries

    def new_entries(self, entries: list[LogEntry]) -> list[LogEntry]:
        """Return the entries that no earlier call returned; two identical lines count as two."""
        seen, new = Counter[LogEntry](), list[LogEntry]()
        for entry in entries:
            seen[entry] += 1
            if seen[entry] > self._returned[entry]:
                new.append(entry)
        returned = self._returned | seen
        self._returned = Counter({e: count for e, count in returned.items() if e.at >= self._since.get(e.pod, 0.0)})
        return new

    def _entries(self, source: str, pod: JsonObject, previous: str) -> list[LogEntry]:
        meta = pod["metadata"]
        query = {"container": source, "timestamps": "true", "previous": previous}
        if meta["name"] in self._since:
            query["sinceTime"] = to_rfc3339(self._since[meta["name"]])
        log = path(PODS, meta["namespace"], meta["name"], "log")
        try:
            return parse_entries(source, meta["name"], self._api.lines(f"the log of {meta['name']}", log, **query))
        except (ObjectNotFoundError, BadRequestError):
            return []


def _runs(source: str, pod: JsonObject) -> tuple[str, ...]:
    """Return the values of `previous` to read: the log before a restart comes first."""
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    restarted = any(state.get("restartCount") for state in states if state["name"] == source)
    return ("true", "false") if restarted else ("false",)


FOLLOW_SECONDS: Final = 1.0


def logs(arguments: LogsArguments) -> int:
    """Print the logs; return 1 if a pod could not be read, else 0. Raises CommandError."""
    api = KubeApi(arguments.context)
    label, session_path = api.session(arguments.session, arguments.namespace)
    session, reader, problem = SessionRow.parse(api.get(label, session_path)), LogReader(api), ""
    while True:
        reader.error = None
        for entry in reader.new_entries(_read_all(api, reader, session, arguments.operator_namespace or "")):
            print(json.dumps(entry.render()) if arguments.json_output else entry.line(), flush=True)
        problem = _print_problem(reader, problem)
        if not arguments.follow or session.is_finished:
            return EXIT_PROBLEM if problem else 0
        sleep(FOLLOW_SECONDS)
        try:
            session = SessionRow.parse(api.get(label, session_path))
        except ObjectNotFoundError:
            return 0


def _print_problem(reader: LogReader, previous: str) -> str:
    """Return the problem of this round, and print it unless the previous round had the same."""
    problem = str(reader.error or "")
    if problem and problem != previous:
        print(problem, file=sys.stderr, flush=True)
    return problem


def _read_all(api: KubeApi, reader: LogReader, session: SessionRow, operator_namespace: str) -> list[LogEntry]:
    selector = f"{SESSION_UID_LABEL}={session.uid}"
    agents = api.items("agent pods", path(PODS, session.namespace), labelSelector=selector)
    labeled = api.items("operator pods", path(PODS, operator_namespace), labelSelector=OPERATOR_SELECTOR)
    operators = [pod for pod in labeled if is_operator(pod["spec"])]
    names = {pod["metadata"]["name"] for pod in agents}
    key = f"{session.namespace}/{session.name}"
    identifiers = frozenset({session.uid, key, session.room, session.pod, *names} - {""})
    return merge(
        [reader.read("agent", pod) for pod in agents],
        [reader.read("operator", pod) for pod in operators],
        identifiers,
    )
