"""A fake of the CLI's KubeApi on objects by path, and the usual objects."""

from collections.abc import Iterator
from typing import Any

import pytest
from voicesession_cli.errors import CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import SESSIONS, path
from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339

CREATED = "2026-01-01T10:00:00Z"
START = from_rfc3339(CREATED) or 0.0


class FakeKubeApi:
    """Serves `objects`, lists included, by path, and raises the errors among them; `requests` has paths and queries."""

    context: str | None = None
    namespace = "calls"

    def __init__(self, objects: dict[str, JsonObject | CommandError] | None = None) -> None:
        self.objects = objects or {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.denied: set[tuple[str, str, str, str]] = set()
        """Service account, namespace, verb and resource."""
        self.merged: list[tuple[str, JsonObject]] = []

    def patch_into(self, module: str, monkeypatch: pytest.MonkeyPatch) -> "FakeKubeApi":
        """Replace the API that a command creates."""
        monkeypatch.setattr(f"voicesession_cli.{module}.KubeApi", lambda _: self)
        return self

    def session(self, name: str, namespace: str | None) -> tuple[str, str]:
        namespace = namespace or self.namespace
        return f"voicesession {namespace}/{name}", path(SESSIONS, namespace, name)

    def get(self, label: str, path: str, **query: str) -> JsonObject:
        self.requests.append((path, query))
        found = self.objects.get(path, ObjectNotFoundError(f"{label} not found"))
        if isinstance(found, CommandError):
            raise found
        return found

    def find(self, label: str, path: str) -> JsonObject | None:
        try:
            return self.get(label, path)
        except ObjectNotFoundError:
            return None

    def items(self, label: str, path: str, **query: str) -> list[JsonObject]:
        """Return the list's items; empty without a list."""
        if path not in self.objects:
            self.requests.append((path, query))
            return []
        items: list[JsonObject] = self.get(label, path, **query)["items"]
        return items

    def create(self, label: str, path: str, body: JsonObject) -> JsonObject:
        """Answer an access review from `denied`."""
        spec = body["spec"]
        access = spec["resourceAttributes"]
        request = (spec["user"].rsplit(":", 1)[1], access["namespace"], access["verb"], access["resource"])
        return {"status": {"allowed": request not in self.denied}}

    def merge(self, label: str, path: str, patch: JsonObject) -> JsonObject:
        self.merged.append((path, patch))
        return self.get(label, path)

    def lines(self, label: str, path: str, **query: str) -> Iterator[str]:
        yield from self.get(label, path, **query)["lines"]


def session(name: str = "hello", **status: Any) -> JsonObject:
    meta = {"namespace": "calls", "name": name, "uid": f"uid-{name}", "creationTimestamp": CREATED}
    return {"metadata": meta, "spec": {"agentRef": {"name": "fake"}}, "status": status}


def pod(name: str, namespace: str = "calls", **status: Any) -> JsonObject:
    return {"metadata": {"namespace": namespace, "name": name}, "status": status}


def after(seconds: float) -> str:
    """Return a timestamp after the creation of the sessions."""
    return to_rfc3339(START + seconds)
