"""The Helm release and the example in the cluster."""

import json
import time

from hack.cluster import engine, programs
from hack.cluster.constants import (
    CHART,
    CONTEXT,
    EXAMPLE_AGENT,
    EXAMPLE_NAMESPACE,
    EXAMPLE_SESSION,
    NAMESPACE,
    RELEASE,
    ROOT,
    SIGNAL_NODE_PORT,
    VERSION,
)
from hack.cluster.kind import kubectl, worker_address
from hack.cluster.process import CommandError, Line, run

VALUES = ROOT / "hack" / "kind-values.yaml"
EXAMPLES = ROOT / "examples"
READY_SECONDS = 180.0
ROLLOUT = "300s"
PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"
# a new image under an old tag restarts nothing by itself: its ID in the pod template does
RESTARTED_BY = {
    "operator": f"voicesession/operator:{VERSION}",
    "gateway": f"voicesession/gateway:{VERSION}",
    "demo.scriptedLLM": f"voicesession/scripted-llm:{VERSION}",
    "letta": "letta/letta:0.16.8",
    "livekit": "livekit/livekit-server:v1.13.5",
    "postgres": "pgvector/pgvector:pg16",
}


def apply_definitions(line: Line) -> None:
    """Apply the CRDs, which Helm itself never upgrades."""
    line(kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds")))
    kubectl("wait", "--for=condition=Established", "-f", str(CHART / "crds"), "--timeout=30s")


def install(line: Line) -> None:
    """Install or upgrade the release and wait for every workload; raises CommandError with the pods' states."""
    _forget_interrupted(line)
    command = [programs.path("helm"), "upgrade", "--install", RELEASE, str(CHART), "--kube-context", CONTEXT]
    command += ["--namespace", NAMESPACE, "--create-namespace", "-f", str(VALUES)]
    run(*command, *_machine_values(), line=line)
    workloads = kubectl("get", "deployments,statefulsets", "-n", NAMESPACE, "-o", "name").split()
    for count, workload in enumerate(workloads, 1):
        line(f"[{count}/{len(workloads)}] {workload}")
        _wait_for(workload, line)


def start_example(line: Line, *, anew: bool) -> None:
    """Apply the example agent and a session that ends up Ready; a finished one is replaced, or any with `anew`."""
    line(kubectl("apply", "-n", EXAMPLE_NAMESPACE, "-f", str(EXAMPLES / f"{EXAMPLE_AGENT}.yaml")))
    session = ("-n", EXAMPLE_NAMESPACE, "-f", str(EXAMPLES / f"{EXAMPLE_SESSION}.yaml"))
    if anew or _example_is_over():
        kubectl(
            "delete", "voicesession", EXAMPLE_SESSION, "-n", EXAMPLE_NAMESPACE, "--ignore-not-found", "--timeout=60s"
        )
    try:
        line(kubectl("apply", *session))
    except CommandError:  # the spec is immutable: another one needs another object
        kubectl("delete", *session, "--timeout=60s")
        line(kubectl("apply", *session))
    _wait_for_example(line)


def _machine_values() -> list[str]:
    values = [f"livekit.publicURL=ws://{worker_address()}:{SIGNAL_NODE_PORT}"]
    values += [
        f"{part}.podAnnotations.voicesession\\.dev/image-id={engine.image_id(image)}"
        for part, image in RESTARTED_BY.items()
    ]
    return [option for value in values for option in ("--set-string", value)]


def _forget_interrupted(line: Line) -> None:
    """Drop the record of a Helm run that was killed: it would block every later one."""
    gone = kubectl(
        "delete", "secret", "-n", NAMESPACE, "-l", f"owner=helm,name={RELEASE},{PENDING}", "--ignore-not-found"
    )
    if "deleted" in gone:
        line(gone)


def _wait_for(workload: str, line: Line) -> None:
    command = (programs.path("kubectl"), "--context", CONTEXT, "rollout", "status", workload, "-n", NAMESPACE)
    try:
        run(*command, f"--timeout={ROLLOUT}", line=line)
    except CommandError as trouble:
        pods = kubectl("get", "pods", "-n", NAMESPACE)
        logs = kubectl("logs", workload, "-n", NAMESPACE, "--all-containers", "--tail=5", "--ignore-errors")
        raise CommandError(command, trouble.code, f"{trouble.tail}\n{pods}\n{logs}") from trouble


def _example_conditions() -> dict[str, dict[str, str]]:
    found = kubectl("get", "voicesession", EXAMPLE_SESSION, "-n", EXAMPLE_NAMESPACE, "-o", "json")
    conditions = json.loads(found).get("status", {}).get("conditions", [])
    return {condition["type"]: condition for condition in conditions}


def _is_true(conditions: dict[str, dict[str, str]], name: str) -> bool:
    return conditions.get(name, {}).get("status") == "True"


def _example_is_over() -> bool:
    try:
        return _is_true(_example_conditions(), "Finished")
    except CommandError:
        return False


def _wait_for_example(line: Line) -> None:
    deadline = time.monotonic() + READY_SECONDS
    conditions: dict[str, dict[str, str]] = {}
    while time.monotonic() < deadline:
        conditions = _example_conditions()
        if _is_true(conditions, "Ready"):
            return
        if _is_true(conditions, "Finished"):
            break
        line(", ".join(f"{name}: {c.get('reason', '')}" for name, c in conditions.items()) or "no status yet")
        time.sleep(1.0)
    raise CommandError(("kubectl", "wait", f"vs/{EXAMPLE_SESSION}"), 1, json.dumps(conditions, indent=1))
