"""What an agent pod wrote into its log: one JSON object per line, and what Python itself complains of."""

import json

from hack.cluster import constants
from tests.support.cluster import operator_pods
from tests.support.cluster.kubectl import Json, Kube
from tests.support.polling import until

COMPLAINTS = ("Task was destroyed but it is pending", "was never awaited", "exception was never retrieved")
"""Of asyncio and the interpreter: somebody left something running, or never ran it."""
KILLED = "job_killed"


def entries(kube: Kube, pod: str, namespace: str, event: str) -> list[Json]:
    """The lines of one event, oldest first."""
    found = [_parse(line) for line in kube.logs(pod, namespace).splitlines()]
    return [entry for entry in found if entry.get("event") == event]


def awaited(kube: Kube, pod: str, namespace: str, event: str, seconds: float) -> list[Json]:
    """The same as soon as there is one; raises AssertionError when there is none in that time."""
    return until(lambda: entries(kube, pod, namespace, event), f"{event} in the log of {pod}", seconds)


def untidy(kube: Kube, pod: str, namespace: str) -> list[str]:
    """What no reset may leave in any log: complaints of the pod or of an operator, and jobs that had to be killed.

    A process that is killed complains of nothing, so the second is part of the first.
    """
    operator_logs = [kube.logs(p["metadata"]["name"], constants.NAMESPACE) for p in operator_pods.pods(kube)]
    lines = [line for log in (kube.logs(pod, namespace), *operator_logs) for line in log.splitlines()]
    complaints = [line for line in lines if any(c in line for c in COMPLAINTS)]
    return complaints + [json.dumps(entry) for entry in entries(kube, pod, namespace, KILLED)]


def milliseconds(found: list[Json]) -> list[float]:
    """The `ms` of every entry that has one."""
    return [float(entry["ms"]) for entry in found if entry.get("ms") is not None]


def _parse(line: str) -> Json:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
