"""Raw Kubernetes objects in the format of the API server."""

from typing import Any

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicepool import VoicePool
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.pod_manifest import build_warm_pod

from tests.support.builders import AGENT, CONFIG, ROOM, T0, UID

__all__ = ["ROOM", "UID", "agent", "pod", "pool", "session", "warm_pod"]


def session(name: str = "hello", uid: str = UID, version: int = 1, spec: JsonObject | None = None) -> JsonObject:
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": "VoiceSession",
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": uid,
            "generation": 1,
            "resourceVersion": str(version),
            "creationTimestamp": to_rfc3339(T0),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"agentRef": {"name": AGENT}, **(spec or {})},
    }


def agent(version: int = 1, spec: JsonObject | None = None) -> JsonObject:
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": "VoiceAgent",
        "metadata": {
            "namespace": "default",
            "name": AGENT,
            "uid": "agent-uid",
            "generation": 1,
            "resourceVersion": str(version),
        },
        "spec": spec or {},
    }


def pool(name: str = "front", version: int = 1, uid: str = "", **spec: Any) -> JsonObject:
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": "VoicePool",
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": uid or f"{name}-uid",
            "generation": 1,
            "resourceVersion": str(version),
        },
        "spec": {"agentRef": {"name": AGENT}, **spec},
    }


def warm_pod(number: int = 0, of: str = "front", version: int = 1, age: float = 60) -> JsonObject:
    """Return a pod of the pool, as the operator creates it for the VoiceAgent of `agent`, that is ready."""
    manifest = build_warm_pod(VoicePool.parse(pool(of)), VoiceAgent.parse(agent()), CONFIG)
    created_at = to_rfc3339(T0 - age)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": to_rfc3339(T0 - age + 4)}
    metadata = {**manifest["metadata"], "name": f"{of}-{number}", "uid": f"{of}-uid-{number}"}
    metadata |= {"resourceVersion": str(version), "creationTimestamp": created_at}
    status = {"phase": "Running", "podIP": f"10.0.1.{number}", "conditions": [ready]}
    return {**manifest, "metadata": metadata, "status": status}


def pod(ordinal: int = 0, version: int = 1, owner: str = UID, **status: Any) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "default",
            "name": pod_name("hello", UID, ordinal),
            "uid": f"pod-uid-{ordinal}",
            "resourceVersion": str(version),
            "labels": {constants.SESSION_UID_LABEL: UID},
            "annotations": {constants.SESSION_ANNOTATION: "default/hello", constants.ORDINAL_ANNOTATION: str(ordinal)},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"containers": [{"name": "agent", "env": [{"name": "LARGE", "value": "x" * 100}]}]},
        "status": {"phase": "Pending", **status},
    }
