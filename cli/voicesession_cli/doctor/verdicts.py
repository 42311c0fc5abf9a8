"""Verdicts from what was read of the cluster. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from voicesession_cli.output import span, unix


class State(StrEnum):
    OK = "OK"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Verdict:
    """`mend` is one line that says what to do; empty where nothing is wrong."""

    check: str
    state: State
    message: str
    mend: str = ""


def ok(check: str, message: str) -> Verdict:
    return Verdict(check, State.OK, message)


def failed(check: str, message: str, mend: str) -> Verdict:
    return Verdict(check, State.FAILED, message, mend)


def skipped(check: str, message: str) -> Verdict:
    return Verdict(check, State.SKIPPED, message)


Json = dict[str, Any]
DEFINITIONS: Final = ("voicesessions.voicesession.dev", "voiceagents.voicesession.dev")
VERSION: Final = "v1alpha1"
APPLY: Final = "kubectl apply --server-side --force-conflicts -f charts/voicesession/crds"
UPGRADE: Final = "run `helm upgrade` with your values again"
STALE_SECONDS: Final = 60
"""A leader writes every 2 s; the rest is for clocks that differ."""
BAD_IMAGES: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
Rule = tuple[str, str, str, tuple[str, ...]]
"""API group, resource, subresource, verbs."""
RULES: Final[tuple[Rule, ...]] = (
    ("voicesession.dev", "voicesessions", "", ("get", "list", "watch", "delete")),
    ("voicesession.dev", "voicesessions", "status", ("patch",)),
    ("voicesession.dev", "voiceagents", "", ("get", "list", "watch")),
    ("voicesession.dev", "voiceagents", "status", ("patch",)),
    ("", "pods", "", ("get", "list", "watch", "create", "delete")),
    ("", "events", "", ("create",)),
)
"""What the operator may do where sessions live; a test compares it with the chart."""
LEADER_RULES: Final[tuple[Rule, ...]] = (
    ("coordination.k8s.io", "leases", "", ("get", "create", "update")),
    ("", "pods", "", ("list", "patch")),
)
GATEWAY_RULES: Final[tuple[Rule, ...]] = (
    ("voicesession.dev", "voicesessions", "", ("create", "get", "list", "watch", "delete")),
    ("voicesession.dev", "voiceagents", "", ("list", "watch")),
)
"""What the gateway may do in its one namespace."""


def definition(name: str, raw: Json | None) -> Verdict:
    check = f"definition {name}"
    if raw is None:
        return failed(check, "is missing", APPLY)
    if VERSION not in [v["name"] for v in raw["spec"]["versions"] if v["served"]]:
        return failed(check, f"does not serve {VERSION}", APPLY)
    states = {c["type"]: c["status"] for c in (raw.get("status") or {}).get("conditions") or ()}
    if states.get("Established") != "True":
        return failed(check, "is not established", f"kubectl describe crd {name}")
    return ok(check, f"serves {VERSION}")


def workload(check: str, raw: Json) -> Verdict:
    """A Deployment or StatefulSet: are all its pods ready?"""
    wanted, ready = raw["spec"].get("replicas", 1), (raw.get("status") or {}).get("readyReplicas", 0)
    meta = raw["metadata"]
    place = f"{raw.get('kind', 'deployment').lower()}/{meta['name']} -n {meta['namespace']}"
    if not wanted:
        return failed(check, "is scaled to 0", f"kubectl scale {place} --replicas=1")
    if ready < wanted:
        return failed(check, f"{ready} of {wanted} pods are ready", f"kubectl describe {place}")
    return ok(check, f"{ready} of {wanted} pods are ready")


def lease(raw: Json | None, operators: set[str], now: float) -> Verdict:
    check, mend = "operator leader", "look at the operator's logs; a restart of its Deployment starts a new election"
    holder = ((raw or {}).get("spec") or {}).get("holderIdentity") or ""
    if raw is None or not holder:
        return failed(check, "nobody holds the lease", mend)
    if holder not in operators:
        return failed(
            check,
            f"{holder} holds the lease and is no operator",
            f"kubectl delete lease {raw['metadata']['name']} -n {raw['metadata']['namespace']}",
        )
    age = now - (unix(raw["spec"].get("renewTime")) or 0.0)
    return (
        ok(check, holder) if age < STALE_SECONDS else failed(check, f"{holder} has not renewed for {span(age)}", mend)
    )


def webhook_delivery(status: int, answer: str) -> Verdict:
    check = "webhook delivery"
    if status == 200:  # noqa: PLR2004
        return ok(check, "a signed event is taken")
    return failed(
        check,
        f"the operator answers {status} {answer}".strip(),
        "give LiveKit and operator the same API key and secret and restart both",
    )


def livekit_key(status: int) -> Verdict:
    check = "LiveKit key"
    if status == 200:  # noqa: PLR2004
        return ok(check, "LiveKit takes the operator's key")
    if status in (401, 403):
        return failed(
            check,
            "LiveKit refuses the operator's key",
            "give LiveKit and operator the same API key and secret and restart both",
        )
    return failed(check, f"LiveKit answers {status}", "look at LiveKit's logs")


def letta(status: int) -> Verdict:
    if status == 200:  # noqa: PLR2004
        return ok("Letta", "reads its database")
    if status in (401, 403):
        return failed(
            "Letta", "refuses the operator's password", "give Letta and operator the same password and restart both"
        )
    return failed("Letta", f"answers {status} to a read of its database", "look at the logs of Letta and Postgres")


def access(check: str, who: str, denied: list[str]) -> Verdict:
    """`denied` are verbs and resources that its service account may not use."""
    if denied:
        return failed(check, f"the {who} may not {', '.join(denied)}", UPGRADE)
    return ok(check, f"the {who} may do what it does")


def images(pods: list[Json]) -> Verdict:
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
            "push them, or name another in the values or the VoiceAgent's pod.image",
        )
    return ok("images", f"{len(pods)} pods have theirs")
