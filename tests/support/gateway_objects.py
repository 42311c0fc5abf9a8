"""VoiceAgents and VoiceSessions as JSON of the API server."""

from typing import Any

from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_gateway import naming

from tests.support.builders import T0

Object = dict[str, Any]

CALLER = naming.hash_label("keys:shop")
OTHER = naming.hash_label("keys:bank")
READY = {"RoomReady": ("True", "RoomCreated", "The room exists"), "AgentJoined": ("True", "Joined", "It is there")}
STARTING = {**READY, "AgentJoined": ("False", "Starting", "The pod is starting")}


def session(
    name: str = "call-a",
    version: int = 1,
    *,
    uid: str = "",
    caller: str = CALLER,
    conversation: str = "c",
    user: str = "",
    agent: str = "agent-66",
    spec: Object | None = None,
    status: Object | None = None,
) -> Object:
    labels = {constants.CALLER_LABEL: caller, constants.CONVERSATION_LABEL: conversation}
    labels |= {constants.USER_LABEL: user} if user else {}
    return {
        "metadata": {
            "namespace": "voice",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": to_rfc3339(T0),
            "labels": labels,
        },
        "spec": {"agentRef": {"name": agent}, **(spec or {})},
        "status": status or {},
    }


def status(conditions: dict[str, tuple[str, str, str]] | None = None, **fields: Any) -> Object:
    """Return a status with the given conditions: type, then status, reason and message."""
    shown = [
        {"type": kind, "status": s, "reason": reason, "message": message, "lastTransitionTime": to_rfc3339(T0)}
        for kind, (s, reason, message) in (conditions or {}).items()
    ]
    return {"conditions": shown, "room": {"name": "vs-room", "url": "wss://livekit.example"}, **fields}


def ready(**fields: Any) -> Object:
    return status({**READY, "Ready": ("True", "Ready", "The agent is in the room")}, phase="Ready", **fields)


def starting(reason: str = "Starting", message: str = "The pod is starting") -> Object:
    return status({**READY, "AgentJoined": ("False", reason, message)}, phase="Starting")


def finished(reason: str = "LastHumanLeft", message: str = "Everybody left") -> Object:
    return status({"Finished": ("True", reason, message)}, phase="Finished", endReason=reason)


def agent(name: str = "agent-66", version: int = 1, spec: Object | None = None, is_ready: str = "True") -> Object:
    conditions = [{"type": "Ready", "status": is_ready, "reason": "Valid", "lastTransitionTime": to_rfc3339(T0)}]
    return {
        "metadata": {"namespace": "voice", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": spec or {"displayName": "Agent_66"},
        "status": {"conditions": conditions},
    }
