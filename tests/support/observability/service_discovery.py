"""Pods and endpoints in a target file for Prometheus; Debian's build has no Kubernetes service discovery."""

import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

from hack.cluster import constants

Json = dict[str, Any]

NAMESPACE = "__meta_kubernetes_namespace"
POD = "__meta_kubernetes_pod"
SERVICE = "__meta_kubernetes_service"
ENDPOINT = "__meta_kubernetes_endpointslice"
SERVICE_NAME = "kubernetes.io/service-name"
WATCH_SECONDS = 30
RETRY_SECONDS = 0.5


def targets_of(pods: Iterable[Json]) -> list[Json]:
    """Return a target for each port of each container of each pod with an address."""
    return [
        _target(pod, container, port)
        for pod in pods
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if pod["status"].get("podIP")
    ]


def endpoints_of(services: Iterable[Json], slices: Iterable[Json]) -> list[Json]:
    """Return a target for each port of each ready pod behind each Service."""
    known = {(service["metadata"]["namespace"], service["metadata"]["name"]): service for service in services}
    return [
        _endpoint(known[service], endpoint, port)
        for found in slices
        for service in [(found["metadata"]["namespace"], found["metadata"]["labels"].get(SERVICE_NAME))]
        for endpoint in found.get("endpoints") or ()
        for port in found.get("ports") or ()
        if service in known
        and endpoint.get("conditions", {}).get("ready")
        and endpoint.get("targetRef", {}).get("kind") == "Pod"
    ]


def as_label(name: str) -> str:
    """Return the name of a Kubernetes label in Prometheus' form."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


@contextmanager
def updated(file: Path) -> Iterator[None]:
    """Write the cluster's pods to `file`, and every change within a second, while the block runs."""
    discovery = _Discovery(file)
    discovery.refresh()
    thread = threading.Thread(target=discovery.follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        discovery.stop.set()


class _Discovery:
    """List and watch of all pods."""

    def __init__(self, file: Path) -> None:
        api = config.new_client_from_config(context=constants.CONTEXT)  # type: ignore[no-untyped-call]
        self._core = client.CoreV1Api(api)
        self._file = file
        self._pods: dict[str, Json] = {}
        self.stop = threading.Event()

    def refresh(self) -> str:
        """List all pods; return the resource version for a watch."""
        listed = json.loads(self._core.list_pod_for_all_namespaces(_preload_content=False).data)
        self._pods = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
        self._write()
        return str(listed["metadata"]["resourceVersion"])

    def follow(self) -> None:
        """List again each time a watch ends, for any reason."""
        while not self.stop.is_set():
            try:
                self._watch(self.refresh())
            except (client.ApiException, HTTPError, OSError, ValueError):
                time.sleep(RETRY_SECONDS)

    def _watch(self, version: str) -> None:
        follow: Any = watch.Watch().stream  # type: ignore[no-untyped-call]
        arguments = {"resource_version": version, "timeout_seconds": WATCH_SECONDS}
        for event in follow(self._core.list_pod_for_all_namespaces, **arguments):
            pod = event["raw_object"]
            self._pods.pop(pod["metadata"]["uid"], None)
            if event["type"] != "DELETED":
                self._pods[pod["metadata"]["uid"]] = pod
            self._write()
            if self.stop.is_set():
                return

    def _write(self) -> None:
        """Replace the file atomically, because Prometheus reads it on each change."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(targets_of(self._pods.values())))
        new.rename(self._file)


def _endpoint(service: Json, endpoint: Json, port: Json) -> Json:
    meta = service["metadata"]
    labels = {f"{SERVICE}_label_{as_label(name)}": value for name, value in (meta.get("labels") or {}).items()}
    own = {
        NAMESPACE: meta["namespace"],
        f"{SERVICE}_name": meta["name"],
        f"{ENDPOINT}_port_name": port.get("name") or "",
        f"{POD}_name": endpoint["targetRef"]["name"],
        f"{POD}_container_port_number": str(port["port"]),
    }
    return {"targets": [f"{endpoint['addresses'][0]}:{port['port']}"], "labels": own | labels}


def _target(pod: Json, container: Json, port: Json) -> Json:
    meta = pod["metadata"]
    labels = {f"{POD}_label_{as_label(name)}": value for name, value in (meta.get("labels") or {}).items()}
    own = {
        NAMESPACE: meta["namespace"],
        f"{POD}_name": meta["name"],
        f"{POD}_phase": pod["status"].get("phase", ""),
        f"{POD}_container_name": container["name"],
        f"{POD}_container_port_name": port.get("name", ""),
        f"{POD}_container_port_number": str(port["containerPort"]),
    }
    return {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": own | labels}
