"""Agent pods as Kubernetes shows them, turned into what decisions are made on."""

from typing import Any, Final

from voicesession_common.api import constants
from voicesession_common.api.timestamps import from_rfc3339

from voicesession_operator.domain.observed import AgentPod

Object = dict[str, Any]

STARTING: Final = ("", "ContainerCreating", "PodInitializing")
"""Waiting reasons that are nothing but patience."""


def owned_pods(raw_pods: list[Object], session_uid: str) -> tuple[AgentPod, ...]:
    """Those that the session controls: a label can be forged or copied, the owner's UID cannot."""
    return tuple(to_pod(raw) for raw in raw_pods if is_controlled_by(raw, session_uid))


def to_pod(raw: Object) -> AgentPod:
    """One v1 Pod (slimmed or whole)."""
    meta, status = raw["metadata"], raw.get("status") or {}
    ordinal = meta.get("annotations", {}).get(constants.ORDINAL_ANNOTATION, "")
    return AgentPod(
        name=meta["name"],
        uid=meta["uid"],
        ordinal=int(ordinal) if ordinal.isdecimal() else 0,
        phase=status.get("phase", "Pending"),
        ip=status.get("podIP", ""),
        deleting="deletionTimestamp" in meta,
        created_at=from_rfc3339(meta.get("creationTimestamp")) or 0.0,
        problem=_trouble(status),
    )


def is_controlled_by(raw: Object, uid: str) -> bool:
    """Whether the object with that UID is the pod's controller."""
    owners = raw["metadata"].get("ownerReferences", ())
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def _trouble(status: Object) -> str:
    for container in status.get("containerStatuses", ()):
        state = container.get("state", {})
        waiting = state.get("waiting", {})
        if waiting.get("reason", "") not in STARTING:
            return _text(waiting)
        terminated = state.get("terminated")
        if terminated:
            return f"{terminated.get('reason', 'Terminated')}: exit code {terminated.get('exitCode')}"
    if status.get("reason"):
        return _text(status)
    return _unschedulable(status)


def _unschedulable(status: Object) -> str:
    conditions = status.get("conditions", ())
    blocked = (c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False")
    return next((_text(condition) for condition in blocked), "")


def _text(state: Object) -> str:
    message = state.get("message", "")
    return f"{state['reason']}: {message}" if message else str(state["reason"])
