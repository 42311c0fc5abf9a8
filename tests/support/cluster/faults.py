"""Faults of the release that are reverted when the block ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from hack.cluster import constants
from tests.support.cluster import operator_pods
from tests.support.cluster.kubectl import Json, Kube
from tests.support.polling import until

NO_POD_LABEL = "voicesession.dev/nowhere"
WEBHOOK = f"{constants.RELEASE}-operator-webhook"
LEASE = f"{constants.RELEASE}-voicesession-operator"
ROLLOUT_SECONDS = 240
LEADER_SECONDS = 90
"""An operator that lost the lead is a container that restarts, after 10 s or more."""


@contextmanager
def webhooks_dropped(kube: Kube) -> Iterator[None]:
    """Drop LiveKit's webhooks: their Service selects no pod."""
    kube.patch("service", WEBHOOK, constants.NAMESPACE, {"spec": {"selector": {NO_POD_LABEL: "true"}}})
    try:
        until(lambda: not _addresses(kube, WEBHOOK), "no endpoint behind the webhook Service", 30)
        yield
    finally:
        kube.patch("service", WEBHOOK, constants.NAMESPACE, {"spec": {"selector": {NO_POD_LABEL: None}}})
        until(lambda: _addresses(kube, WEBHOOK), "the leader behind the webhook Service", 60)


@contextmanager
def without(kube: Kube, component: str) -> Iterator[None]:
    """Scale a Deployment or StatefulSet of the release to zero; the component label identifies it."""
    kind, workload = _workload(kube, component)
    name, replicas = workload["metadata"]["name"], workload["spec"].get("replicas", 1)
    selector = ",".join(f"{k}={v}" for k, v in workload["spec"]["selector"]["matchLabels"].items())
    kube.run("scale", f"{kind}/{name}", "--replicas=0", "-n", constants.NAMESPACE)
    try:
        until(lambda: not kube.all("pods", constants.NAMESPACE, selector), f"no pod of {component}", 60)
        yield
    finally:
        kube.run("scale", f"{kind}/{name}", f"--replicas={replicas}", "-n", constants.NAMESPACE)
        _wait_for_rollout(kube, f"{kind}/{name}", ROLLOUT_SECONDS)


@contextmanager
def no_leader(kube: Kube) -> Iterator[None]:
    """Give the Lease to a holder that does not exist, for an hour: operators run and wait."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    held = {"holderIdentity": "nobody", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now}
    kube.patch("lease", LEASE, constants.NAMESPACE, {"spec": held})
    try:
        yield
    finally:
        kube.patch("lease", LEASE, constants.NAMESPACE, {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}})
        operator_pods.leader(kube, LEADER_SECONDS)


def restart(kube: Kube, component: str) -> None:
    """Restart the component's pods and wait until the new ones are ready."""
    kind, workload = _workload(kube, component)
    name = workload["metadata"]["name"]
    kube.run("rollout", "restart", f"{kind}/{name}", "-n", constants.NAMESPACE)
    _wait_for_rollout(kube, f"{kind}/{name}", ROLLOUT_SECONDS)


@contextmanager
def operator_environment(kube: Kube, **variables: str) -> Iterator[None]:
    """Run the operator with these environment variables in place of its own."""
    kind, workload = _workload(kube, "operator")
    name = workload["metadata"]["name"]
    container = workload["spec"]["template"]["spec"]["containers"][0]
    before = container.get("env", [])
    given = [{"name": key, "value": value} for key, value in variables.items()]
    _set_environment(kube, f"{kind}/{name}", [v for v in before if v["name"] not in variables] + given)
    try:
        yield
    finally:
        _set_environment(kube, f"{kind}/{name}", before)


def _set_environment(kube: Kube, workload: str, variables: list[Json]) -> None:
    patch = [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": variables}]
    kube.run("patch", workload, "-n", constants.NAMESPACE, "--type", "json", "-p", json.dumps(patch))
    _wait_for_rollout(kube, workload, 180)
    operator_pods.leader(kube, LEADER_SECONDS)


def _wait_for_rollout(kube: Kube, workload: str, seconds: float) -> None:
    flags = ("-n", constants.NAMESPACE, f"--timeout={seconds:.0f}s")
    kube.run("rollout", "status", workload, *flags, timeout=seconds + 60)


def _addresses(kube: Kube, service: str) -> list[Json]:
    slices = kube.all("endpointslices", constants.NAMESPACE, f"kubernetes.io/service-name={service}")
    return [endpoint for s in slices for endpoint in s.get("endpoints") or ()]


def _workload(kube: Kube, component: str) -> tuple[str, Json]:
    for kind in ("deployment", "statefulset"):
        for found in kube.all(kind, constants.NAMESPACE, f"app.kubernetes.io/component={component}"):
            return kind, found
    raise AssertionError(f"no workload of the component {component} in {constants.NAMESPACE}")
