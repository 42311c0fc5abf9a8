"""The operator's pods: leader, readiness, metrics, and the death of the leader."""

from hack.cluster import constants
from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.nodes import kill_main_process
from tests.support.polling import until

LEADER = "voicesession.dev/leader=true"
OPERATOR = "app.kubernetes.io/component=operator"
LEASES = 'resource="leases"'
TAKEOVER_SECONDS = 60
"""Lease duration (8 s), restart of a pod, and the delay of a busy machine."""


def pods(kube: Kube) -> list[Json]:
    """Return the operator's pods."""
    return kube.all("pods", constants.NAMESPACE, OPERATOR)


def leader(kube: Kube, seconds: float = TAKEOVER_SECONDS) -> Json:
    """Wait until exactly one pod leads and return it."""
    return until(lambda: _leader(kube), "one leading operator", seconds)


def kill_leader(kube: Kube) -> str:
    """Kill (SIGKILL) the leader and return its pod's name.

    The pod is deleted too, because repeated restarts of one container back off.
    """
    pod = leader(kube)
    name: str = pod["metadata"]["name"]
    kill(pod)
    delete(kube, name)
    return name


def kill(pod: Json) -> None:
    """Kill (SIGKILL) the operator in the pod; its container restarts."""
    kill_main_process(pod, f"POD_NAME={pod['metadata']['name']}")


def delete(kube: Kube, name: str) -> None:
    """Delete the pod by force."""
    kube.run("delete", "pod", name, "-n", constants.NAMESPACE, "--force", "--grace-period=0", "--ignore-not-found")


def holder(kube: Kube) -> str:
    """Return the pod that holds the Lease; empty if none does."""
    return holder_process(kube).partition("_")[0]


def holder_process(kube: Kube) -> str:
    """Return the process that holds the Lease, in the form of `holderIdentity`; empty if none does."""
    lease = kube.get("lease", f"{constants.RELEASE}-voicesession-operator", constants.NAMESPACE)
    return str(lease["spec"].get("holderIdentity") or "") if lease else ""


def all_ready(kube: Kube) -> bool:
    """Return whether every replica is Ready and one of them leads."""
    states = [_is_ready(pod) for pod in pods(kube)]
    return len(states) > 1 and all(states) and _leader(kube) is not None


def metrics(kube: Kube) -> dict[str, float]:
    """Return the leader's metrics summed over their labels, without those about Leases."""
    name = leader(kube)["metadata"]["name"]
    path = f"/api/v1/namespaces/{constants.NAMESPACE}/pods/{name}:8080/proxy/metrics"
    return parse_metrics(kube.run("get", "--raw", path))


def parse_metrics(text: str) -> dict[str, float]:
    """Parse Prometheus' text format into sums by metric name, without series about Leases."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#") and LEASES not in line:
            series, value = line.rsplit(" ", 1)
            name = series.split("{", 1)[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def _leader(kube: Kube) -> Json | None:
    try:
        found = [p for p in kube.all("pods", constants.NAMESPACE, f"{OPERATOR},{LEADER}") if _is_ready(p)]
    except KubectlError:
        return None
    return found[0] if len(found) == 1 else None


def _is_ready(pod: Json) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"
