"""What an agent pod wrote into its log: one JSON object per line, and what Python itself complains of."""

import json

from tests.e2e.kubectl import Json, Kube

COMPLAINTS = ("Task was destroyed but it is pending", "was never awaited", "exception was never retrieved")
"""Of asyncio and the interpreter: somebody left something running, or never ran it."""


def entries(kube: Kube, pod: str, namespace: str, event: str) -> list[Json]:
    """The lines of one event, oldest first."""
    found = [_parse(line) for line in kube.logs(pod, namespace).splitlines()]
    return [entry for entry in found if entry.get("event") == event]


def complaints(kube: Kube, pod: str, namespace: str) -> list[str]:
    return [line for line in kube.logs(pod, namespace).splitlines() if any(c in line for c in COMPLAINTS)]


def milliseconds(found: list[Json]) -> list[float]:
    """The `ms` of every entry that has one."""
    return [float(entry["ms"]) for entry in found if entry.get("ms") is not None]


def _parse(line: str) -> Json:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
