"""First times of milestones: a watch on one namespace with the arrival time of every change.

Kubernetes' timestamps have a resolution of one second; the events of a watch are late by milliseconds.
"""

import threading
import time
from typing import Any

from kubernetes import client, config, watch

from hack.cluster import constants
from tests.support.polling import until

GROUP, VERSION = "voicesession.dev", "v1alpha1"
RETRY_SECONDS = 0.2


class Timeline:
    """Unix times of milestones by session; the first observation counts."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        api = config.new_client_from_config(context=constants.CONTEXT)  # type: ignore[no-untyped-call]
        self._objects, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._seen: dict[tuple[str, str], float] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._follow, args=(kind,), daemon=True) for kind in ("vs", "pod")]
        for thread in self._threads:
            thread.start()

    def create(self, session: dict[str, Any]) -> float:
        """Create the session; return the time just before the request."""
        begin = time.time()
        self._objects.create_namespaced_custom_object(GROUP, VERSION, self._namespace, "voicesessions", session)
        return begin

    def at(self, name: str, milestone: str, seconds: float) -> float:
        """Wait for a milestone and return its time."""
        return until(lambda: self._seen.get((name, milestone)), f"{milestone} of {name}", seconds, poll=0.02)

    def seen(self, name: str, milestone: str) -> float | None:
        """Return the time of the milestone, if seen."""
        return self._seen.get((name, milestone))

    def close(self) -> None:
        """Stop the watches."""
        self._stop.set()

    def _follow(self, kind: str) -> None:
        while not self._stop.is_set():
            try:
                for event in self._stream(kind):
                    (self._session if kind == "vs" else self._pod)(event["type"], event["object"])
                    if self._stop.is_set():
                        return
            except (client.ApiException, OSError, ValueError):
                time.sleep(RETRY_SECONDS)

    def _stream(self, kind: str) -> Any:
        follow: Any = watch.Watch().stream  # type: ignore[no-untyped-call]
        if kind == "vs":
            resource = (GROUP, VERSION, self._namespace, "voicesessions")
            return follow(self._objects.list_namespaced_custom_object, *resource, timeout_seconds=60)
        return _plain(follow(self._core.list_namespaced_pod, self._namespace, timeout_seconds=60))

    def _session(self, change: str, raw: dict[str, Any]) -> None:
        name = raw["metadata"]["name"]
        self._record(name, "deleted" if change == "DELETED" else "created")
        status = raw.get("status") or {}
        for condition in status.get("conditions", ()):
            if condition["status"] == "True":
                self._record(name, condition["type"])
        if status.get("humans"):
            self._record(name, "human")

    def _pod(self, change: str, raw: dict[str, Any]) -> None:
        session = raw["metadata"].get("annotations", {}).get("voicesession.dev/session", "").partition("/")[2]
        self._record(session, "pod deleted" if change == "DELETED" else "pod created")
        for condition in raw["status"].get("conditions") or ():
            if condition["status"] == "True":
                self._record(session, f"pod {condition['type']}")
        states = raw["status"].get("containerStatuses") or ()
        if any((state.get("state") or {}).get("running") for state in states):
            self._record(session, "pod running")

    def _record(self, name: str, milestone: str) -> None:
        self._seen.setdefault((name, milestone), time.time())


def _plain(stream: Any) -> Any:
    """Yield the events with the API server's JSON in place of typed objects."""
    for event in stream:
        yield {"type": event["type"], "object": event["raw_object"]}
