"""Logs of agent pods: events (one JSON object a line), and complaints of Python about unfinished work."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from hack.cluster import constants
from tests.support.cluster import operator_pods
from tests.support.cluster.kubectl import Json, Kube
from tests.support.polling import until

COMPLAINTS = ("Task was destroyed but it is pending", "was never awaited", "exception was never retrieved")
"""Messages of asyncio and the interpreter about a task that was left running, or a coroutine that never ran."""
KILLED = "job_killed"
FOLLOW_SECONDS = 180


@contextmanager
def followed(kube: Kube, pod: str, namespace: str) -> Iterator[Future[str]]:
    """Follow the pod's log; the result has all lines until the end of the pod, which is deleted with them."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(kube.run, "logs", "--follow", pod, "-n", namespace, timeout=FOLLOW_SECONDS)


def entries(kube: Kube, pod: str, namespace: str, event: str) -> list[Json]:
    """Return the log lines of one event, oldest first."""
    found = [_parse(line) for line in kube.logs(pod, namespace).splitlines()]
    return [entry for entry in found if entry.get("event") == event]


def wait_for_entries(kube: Kube, pod: str, namespace: str, event: str, seconds: float) -> list[Json]:
    """Wait until the log has at least one line of the event; return all of them."""
    return until(lambda: entries(kube, pod, namespace, event), f"{event} in the log of {pod}", seconds)


def unfinished_work(kube: Kube, pod: str, namespace: str) -> list[str]:
    """Return log lines that no reset may cause: complaints in the pod's or an operator's log, and killed jobs.

    A killed process writes no complaint, so killed jobs count too.
    """
    operator_logs = [kube.logs(p["metadata"]["name"], constants.NAMESPACE) for p in operator_pods.pods(kube)]
    lines = [line for log in (kube.logs(pod, namespace), *operator_logs) for line in log.splitlines()]
    complaints = [line for line in lines if any(c in line for c in COMPLAINTS)]
    return complaints + [json.dumps(entry) for entry in entries(kube, pod, namespace, KILLED)]


def milliseconds(found: list[Json]) -> list[float]:
    """Return `ms` of every entry that has it."""
    return [float(entry["ms"]) for entry in found if entry.get("ms") is not None]


def _parse(line: str) -> Json:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
