"""Raw Kubernetes objects in the format of the API server."""

from typing import Any

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_operator.domain.naming import pod_name

from tests.support.builders import AGENT, ROOM, T0, UID

__all__ = ["ROOM", "UID", "agent", "pod", "session"]


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
