"""VoiceAgents and VoiceSessions as JSON of the API server."""

from typing import Any

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_gateway import naming

from tests.support.builders import T0

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
    spec: JsonObject | None = None,
    status: JsonObject | None = None,
) -> JsonObject:
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


def status(conditions: dict[str, tuple[str, str, str]] | None = None, **fields: Any) -> JsonObject:
    """Return a status with the given conditions: type, then status, reason and message."""
    shown = [
        {"type": kind, "status": s, "reason": reason, "message": message, "lastTransitionTime": to_rfc3339(T0)}
        for kind, (s, reason, message) in (conditions or {}).items()
    ]
    return {"conditions": shown, "room": {"name": "vs-room", "url": "wss://livekit.example"}, **fields}


def ready(**fields: Any) -> JsonObject:
    return status({**READY, "Ready": ("True", "Ready", "The agent is in the room")}, phase="Ready", **fields)


def starting(reason: str = "Starting", message: str = "The pod is starting") -> JsonObject:
    return status({**READY, "AgentJoined": ("False", reason, message)}, phase="Starting")


def finished(reason: str = "LastHumanLeft", message: str = "Everybody left") -> JsonObject:
    return status({"Finished": ("True", reason, message)}, phase="Finished", endReason=reason)


def agent(
    name: str = "agent-66", version: int = 1, spec: JsonObject | None = None, is_ready: str = "True"
) -> JsonObject:
    conditions = [{"type": "Ready", "status": is_ready, "reason": "Valid", "lastTransitionTime": to_rfc3339(T0)}]
    return {
        "metadata": {"namespace": "voice", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": spec or {"displayName": "Agent_66"},
        "status": {"conditions": conditions},
    }
