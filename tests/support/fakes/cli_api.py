"""The API server as commands see it, from objects by path; also the usual objects."""

from collections.abc import Iterator
from typing import Any

import pytest
from voicesession_cli.errors import CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import SESSIONS, path
from voicesession_cli.output import rfc3339, unix

Json = dict[str, Any]
CREATED = "2026-01-01T10:00:00Z"
START = unix(CREATED) or 0.0


class StandIn:
    """`objects` by path, lists too; an error in the place of one is raised. `asked` has every path and query."""

    context: str | None = None
    namespace = "calls"

    def __init__(self, objects: dict[str, Json | CommandError] | None = None) -> None:
        self.objects = objects or {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refused: set[tuple[str, str, str, str]] = set()
        """Service account, namespace, verb and resource."""
        self.merged: list[tuple[str, Json]] = []

    def instead_of(self, module: str, monkeypatch: pytest.MonkeyPatch) -> "StandIn":
        """In the place of what a command makes for itself."""
        monkeypatch.setattr(f"voicesession_cli.{module}.Api", lambda _: self)
        return self

    def session(self, name: str, namespace: str | None) -> tuple[str, str]:
        where = namespace or self.namespace
        return f"voicesession {where}/{name}", path(SESSIONS, where, name)

    def get(self, what: str, place: str, **query: str) -> Json:
        self.asked.append((place, query))
        found = self.objects.get(place, ObjectNotFoundError(f"{what} not found"))
        if isinstance(found, CommandError):
            raise found
        return found

    def find(self, what: str, place: str) -> Json | None:
        try:
            return self.get(what, place)
        except ObjectNotFoundError:
            return None

    def items(self, what: str, place: str, **query: str) -> list[Json]:
        """Nothing where no list was given."""
        if place not in self.objects:
            self.asked.append((place, query))
            return []
        found: list[Json] = self.get(what, place, **query)["items"]
        return found

    def create(self, what: str, place: str, body: Json) -> Json:
        """An access review: granted but for what is in `refused`."""
        spec = body["spec"]
        asked = spec["resourceAttributes"]
        who = (spec["user"].rsplit(":", 1)[1], asked["namespace"], asked["verb"], asked["resource"])
        return {"status": {"allowed": who not in self.refused}}

    def merge(self, what: str, place: str, patch: Json) -> Json:
        self.merged.append((place, patch))
        return self.get(what, place)

    def lines(self, what: str, place: str, **query: str) -> Iterator[str]:
        yield from self.get(what, place, **query)["lines"]


def session(name: str = "hello", **status: Any) -> Json:
    meta = {"namespace": "calls", "name": name, "uid": f"uid-{name}", "creationTimestamp": CREATED}
    return {"metadata": meta, "spec": {"agentRef": {"name": "fake"}}, "status": status}


def pod(name: str, namespace: str = "calls", **status: Any) -> Json:
    return {"metadata": {"namespace": namespace, "name": name}, "status": status}


def after(seconds: float) -> str:
    """A timestamp."""
    return rfc3339(START + seconds)
