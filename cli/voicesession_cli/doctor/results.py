"""Check results, derived from objects of the cluster. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import AGENTS, GROUP, POOLS, SESSIONS, VERSION
from voicesession_common.api.timestamps import from_rfc3339

from voicesession_cli.output import format_duration


class CheckState(StrEnum):
    """State of one check."""

    OK = "OK"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class CheckResult:
    """Result of one check; `fix` is one line with the remedy of a failed check, else empty."""

    check: str
    state: CheckState
    message: str
    fix: str = ""


def ok(check: str, message: str) -> CheckResult:
    """Return the result of a passed check."""
    return CheckResult(check, CheckState.OK, message)


def failed(check: str, message: str, fix: str) -> CheckResult:
    """Return the result of a failed check."""
    return CheckResult(check, CheckState.FAILED, message, fix)


def skipped(check: str, message: str) -> CheckResult:
    """Return the result of a check that does not apply."""
    return CheckResult(check, CheckState.SKIPPED, message)


DEFINITIONS: Final = (f"{SESSIONS}.{GROUP}", f"{AGENTS}.{GROUP}", f"{POOLS}.{GROUP}")
APPLY_CRDS: Final = "kubectl apply --server-side --force-conflicts -f charts/voicesession/crds"
UPGRADE: Final = "run `helm upgrade` with your values again"
LEASE_EXPIRED_SECONDS: Final = 60
"""A leader renews every 2 s; the rest allows for differing clocks."""
HTTP_OK: Final = 200
HTTP_DENIED: Final = (401, 403)
BAD_IMAGES: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
Rule = tuple[str, str, str, tuple[str, ...]]
"""API group, resource, subresource, verbs."""
RULES: Final[tuple[Rule, ...]] = (
    (GROUP, SESSIONS, "", ("get", "list", "watch", "delete")),
    (GROUP, SESSIONS, "status", ("patch",)),
    (GROUP, AGENTS, "", ("get", "list", "watch", "patch")),
    (GROUP, AGENTS, "status", ("patch",)),
    (GROUP, POOLS, "", ("get", "list", "watch")),
    (GROUP, POOLS, "status", ("patch",)),
    ("", "pods", "", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "events", "", ("create",)),
)
"""Permissions of the operator in the namespaces of sessions; a test compares them with the chart."""
LEADER_RULES: Final[tuple[Rule, ...]] = (
    ("coordination.k8s.io", "leases", "", ("get", "create", "update")),
    ("", "pods", "", ("get", "list", "patch")),
)
"""Permissions of the operator in its own namespace."""
GATEWAY_RULES: Final[tuple[Rule, ...]] = (
    (GROUP, SESSIONS, "", ("create", "get", "list", "watch", "patch", "delete")),
    (GROUP, AGENTS, "", ("list", "watch")),
)
"""Permissions of the gateway in the namespace of its sessions."""


def definition(name: str, raw: JsonObject | None) -> CheckResult:
    """Check that a CustomResourceDefinition is established and serves the version."""
    check = f"definition {name}"
    if raw is None:
        return failed(check, "is missing", APPLY_CRDS)
    if VERSION not in [v["name"] for v in raw["spec"]["versions"] if v["served"]]:
        return failed(check, f"does not serve {VERSION}", APPLY_CRDS)
    states = {c["type"]: c["status"] for c in (raw.get("status") or {}).get("conditions") or ()}
    if states.get("Established") != "True":
        return failed(check, "is not established", f"kubectl describe crd {name}")
    return ok(check, f"serves {VERSION}")


def workload(check: str, raw: JsonObject) -> CheckResult:
    """Check that all pods of a Deployment or StatefulSet are ready."""
    replicas, ready = raw["spec"].get("replicas", 1), (raw.get("status") or {}).get("readyReplicas", 0)
    meta = raw["metadata"]
    target = f"{raw.get('kind', 'deployment').lower()}/{meta['name']} -n {meta['namespace']}"
    if not replicas:
        return failed(check, "is scaled to 0", f"kubectl scale {target} --replicas=1")
    if ready < replicas:
        return failed(check, f"{ready} of {replicas} pods are ready", f"kubectl describe {target}")
    return ok(check, f"{ready} of {replicas} pods are ready")


def lease(raw: JsonObject | None, operators: set[str], now: float) -> CheckResult:
    """Check that one of the operator pods holds the lease and renews it."""
    check, fix = "operator leader", "read the operator's logs; a restart of its Deployment starts a new election"
    identity = ((raw or {}).get("spec") or {}).get("holderIdentity") or ""
    holder = identity.partition("_")[0]  # Its form is POD_UID_START.
    if raw is None or not holder:
        return failed(check, "the lease has no holder", fix)
    if holder not in operators:
        return failed(
            check,
            f"{holder} holds the lease but is not an operator pod",
            f"kubectl delete lease {raw['metadata']['name']} -n {raw['metadata']['namespace']}",
        )
    age = now - (from_rfc3339(raw["spec"].get("renewTime")) or 0.0)
    if age < LEASE_EXPIRED_SECONDS:
        return ok(check, holder)
    return failed(check, f"{holder} has not renewed the lease for {format_duration(age)}", fix)


def webhook_delivery(status: int, reason: str) -> CheckResult:
    """Check the operator's response to a signed webhook event."""
    check = "webhook delivery"
    if status == HTTP_OK:
        return ok(check, "the operator accepts a signed event")
    return failed(
        check,
        f"the operator answers {status} {reason}".strip(),
        "give LiveKit and operator the same API key and secret and restart both",
    )


def livekit_key(status: int) -> CheckResult:
    """Check LiveKit's response to a request with the operator's key."""
    check = "LiveKit key"
    if status == HTTP_OK:
        return ok(check, "LiveKit accepts the operator's key")
    if status in HTTP_DENIED:
        return failed(
            check,
            "LiveKit rejects the operator's key",
            "give LiveKit and operator the same API key and secret and restart both",
        )
    return failed(check, f"LiveKit answers {status}", "read LiveKit's logs")


def letta(status: int) -> CheckResult:
    """Check Letta's response to a request that reads its database."""
    if status == HTTP_OK:
        return ok("Letta", "reads its database")
    if status in HTTP_DENIED:
        return failed(
            "Letta", "rejects the operator's password", "give Letta and operator the same password and restart both"
        )
    return failed("Letta", f"answers {status} to a read of its database", "read the logs of Letta and Postgres")


def access(check: str, program: str, denied: list[str]) -> CheckResult:
    """Check that no required permission is denied; `denied` lists verbs and resources."""
    if denied:
        return failed(check, f"the {program} may not {', '.join(denied)}", UPGRADE)
    return ok(check, f"the {program} has its permissions")


def images(pods: list[JsonObject]) -> CheckResult:
    """Check that no container waits for an image that cannot be pulled."""
    bad = set()
    for pod in pods:
        status = pod.get("status") or {}
        for c in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
            if (c.get("state", {}).get("waiting") or {}).get("reason") in BAD_IMAGES:
                bad.add(f"{c['image']} ({pod['metadata']['namespace']}/{pod['metadata']['name']})")
    if bad:
        return failed(
            "images",
            f"cannot be pulled: {', '.join(sorted(bad))}",
            "push them, or set another image in the values or in the VoiceAgent's pod.image",
        )
    return ok("images", f"all images of {len(pods)} pods can be pulled")
