"""The logs of pods, again and again: whole at first, then only what may be new."""

from collections import Counter
from typing import Any, Final

from voicesession_cli.api import PODS, Api, path
from voicesession_cli.errors import BadRequestError, CommandError, ForbiddenError, NotFoundError
from voicesession_cli.journal import Entry, entries
from voicesession_cli.times import rfc3339

Json = dict[str, Any]
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
        except (NotFoundError, BadRequestError):
            return []


def _runs(source: str, pod: Json) -> tuple[str, ...]:
    """What ran before a restart comes first."""
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    restarted = any(state.get("restartCount") for state in states if state["name"] == source)
    return ("true", "false") if restarted else ("false",)
