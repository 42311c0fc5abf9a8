"""The Helm release and the example session in the cluster."""

import json
import time

from hack.cluster import engine, programs
from hack.cluster.constants import (
    CHART,
    CONTEXT,
    EXAMPLE_AGENT,
    EXAMPLE_NAMESPACE,
    EXAMPLE_POOL,
    EXAMPLE_SESSION,
    NAMESPACE,
    RELEASE,
    ROOT,
    SIGNAL_NODE_PORT,
    VERSION,
)
from hack.cluster.kind import kubectl, worker_address
from hack.cluster.process import CommandError, Log, run

VALUES = ROOT / "hack" / "kind-values.yaml"
EXAMPLES = ROOT / "examples"
READY_SECONDS = 180.0
ROLLOUT = "300s"
PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"
# A new image under the same tag restarts no pod; its ID in the pod template does.
IMAGE_OF_COMPONENT = {
    "operator": f"voicesession/operator:{VERSION}",
    "gateway": f"voicesession/gateway:{VERSION}",
    "demo.scriptedLLM": f"voicesession/scripted-llm:{VERSION}",
    "letta": "letta/letta:0.16.8",
    "livekit": "livekit/livekit-server:v1.13.5",
    "postgres": "pgvector/pgvector:pg16",
}


def apply_crds(log: Log) -> None:
    """Apply the CRDs, which Helm does not upgrade."""
    log(kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds")))
    kubectl("wait", "--for=condition=Established", "-f", str(CHART / "crds"), "--timeout=30s")


def install(log: Log) -> None:
    """Install or upgrade the release and wait for every workload; raise CommandError with the pods' states."""
    _delete_interrupted_release(log)
    command = [programs.path("helm"), "upgrade", "--install", RELEASE, str(CHART), "--kube-context", CONTEXT]
    command += ["--namespace", NAMESPACE, "--create-namespace", "-f", str(VALUES)]
    run(*command, *_machine_values(), log=log)
    workloads = kubectl("get", "deployments,statefulsets", "-n", NAMESPACE, "-o", "name").split()
    for count, workload in enumerate(workloads, 1):
        log(f"[{count}/{len(workloads)}] {workload}")
        _wait_for(workload, log)


def start_example(log: Log, *, recreate: bool) -> None:
    """Apply the example agent and session, wait for Ready, and apply the pool that makes the next session warm.

    A finished session is created again, or any if `recreate`.
    """
    log(kubectl("apply", "-n", EXAMPLE_NAMESPACE, "-f", str(EXAMPLES / f"{EXAMPLE_AGENT}.yaml")))
    session = ("-n", EXAMPLE_NAMESPACE, "-f", str(EXAMPLES / f"{EXAMPLE_SESSION}.yaml"))
    if recreate or _example_is_finished():
        kubectl(
            "delete", "voicesession", EXAMPLE_SESSION, "-n", EXAMPLE_NAMESPACE, "--ignore-not-found", "--timeout=60s"
        )
    try:
        log(kubectl("apply", *session))
    except CommandError:  # the spec is immutable: a change needs a new object
        kubectl("delete", *session, "--timeout=60s")
        log(kubectl("apply", *session))
    _wait_for_example(log)
    log(kubectl("apply", "-n", EXAMPLE_NAMESPACE, "-f", str(EXAMPLES / f"{EXAMPLE_POOL}.yaml")))


def _machine_values() -> list[str]:
    values = [f"livekit.publicURL=ws://{worker_address()}:{SIGNAL_NODE_PORT}"]
    values += [
        f"{part}.podAnnotations.voicesession\\.dev/image-id={engine.image_id(image)}"
        for part, image in IMAGE_OF_COMPONENT.items()
    ]
    return [option for value in values for option in ("--set-string", value)]


def _delete_interrupted_release(log: Log) -> None:
    """Delete the record of a killed Helm run, which would block every later run."""
    output = kubectl(
        "delete", "secret", "-n", NAMESPACE, "-l", f"owner=helm,name={RELEASE},{PENDING}", "--ignore-not-found"
    )
    if "deleted" in output:
        log(output)


def _wait_for(workload: str, log: Log) -> None:
    command = (programs.path("kubectl"), "--context", CONTEXT, "rollout", "status", workload, "-n", NAMESPACE)
    try:
        run(*command, f"--timeout={ROLLOUT}", log=log)
    except CommandError as error:
        pods = kubectl("get", "pods", "-n", NAMESPACE)
        logs = kubectl("logs", workload, "-n", NAMESPACE, "--all-containers", "--tail=5", "--ignore-errors")
        raise CommandError(command, error.code, f"{error.tail}\n{pods}\n{logs}") from error


def _example_conditions() -> dict[str, dict[str, str]]:
    session = kubectl("get", "voicesession", EXAMPLE_SESSION, "-n", EXAMPLE_NAMESPACE, "-o", "json")
    conditions = json.loads(session).get("status", {}).get("conditions", [])
    return {condition["type"]: condition for condition in conditions}


def _is_true(conditions: dict[str, dict[str, str]], name: str) -> bool:
    return conditions.get(name, {}).get("status") == "True"


def _example_is_finished() -> bool:
    try:
        return _is_true(_example_conditions(), "Finished")
    except CommandError:
        return False


def _wait_for_example(log: Log) -> None:
    deadline = time.monotonic() + READY_SECONDS
    conditions: dict[str, dict[str, str]] = {}
    while time.monotonic() < deadline:
        conditions = _example_conditions()
        if _is_true(conditions, "Ready"):
            return
        if _is_true(conditions, "Finished"):
            break
        log(", ".join(f"{name}: {c.get('reason', '')}" for name, c in conditions.items()) or "no status yet")
        time.sleep(1.0)
    raise CommandError(("kubectl", "wait", f"vs/{EXAMPLE_SESSION}"), 1, json.dumps(conditions, indent=1))
