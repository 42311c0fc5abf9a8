"""The desired state of the pod: the parsed body of the operator's `PUT /v1/state`."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from voicesession_agent.memory.backend import DEFAULT_LABEL, MemoryAddress
from voicesession_agent.protocol import Conversation
from voicesession_agent.supervisor.job_pool import JobLaunch

EPOCH_ATTRIBUTE: Final = "voicesession.epoch"
"""Attribute of the agent's participant, from its token: the epoch for which the operator issued the token."""


class MalformedError(ValueError):
    """The body is not a desired state; the message names the field and never its value."""


@dataclass(frozen=True)
class DesiredState:
    """Session, epoch, room, token and memory that the operator assigns to this pod."""

    session_uid: str
    epoch: int
    room_name: str
    room_url: str
    token: str = field(repr=False)
    identity: str = ""
    memory: MemoryAddress | None = None
    capture: bool = False
    cause: str = ""
    """Cause of this epoch; for logs only."""
    read_only: bool = False
    """Memory is read only: neither turns nor facts are written to it."""
    remember: bool = True
    """The agent may remember and forget facts, unless memory is read only."""
    remember_block: str = DEFAULT_LABEL
    """Label of the only block that the agent writes."""
    recall: bool = False
    """The agent may search earlier conversations, all of which are those of one user."""
    idle_seconds: float = 0.0
    """Silence after which the operator ends the session; 0 disables it."""
    traceparent: str = ""
    """W3C traceparent of the session's span; empty if tracing is off."""
    token_expires_at: float | None = None
    """Unix seconds; None if the token has no such claim."""
    room_sid: str = ""
    room_metadata: str = ""
    agent_metadata: str = field(default="", repr=False)
    """The job's metadata, for the agent's program only."""
    token_epoch: str = ""
    """Value of EPOCH_ATTRIBUTE in the token; empty if the token has none."""
    admin_token: str = field(default="", repr=False)
    """Token for LiveKit's API in this room; empty from an operator that sends none."""
    prewarm: bool = True
    """Keep a process prepared for the next job."""
    conversation: Conversation = field(default=Conversation(), repr=False)
    """The conversation that this pod continues; only its first desired state can have one."""

    def job_launch(self, number: int) -> JobLaunch:
        """Return the parameters of the pod's job with this number."""
        return JobLaunch(
            launch=number,
            room=self.room_name,
            url=self.room_url,
            token=self.token,
            identity=self.identity,
            room_sid=self.room_sid,
            room_metadata=self.room_metadata,
            metadata=self.agent_metadata,
        )


def parse(body: bytes) -> DesiredState:
    """Parse the body. Raises MalformedError if a field is missing or has the wrong type."""
    try:
        raw = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MalformedError("the body is not JSON") from error
    if not isinstance(raw, dict):
        raise MalformedError("the body is not an object")
    room, token = _field(raw, "room", dict), _text(raw, "token")
    claims, memory = _claims(token), raw.get("memory")
    return DesiredState(
        session_uid=_text(raw, "sessionUID"),
        epoch=_epoch(raw),
        room_name=_text(room, "name"),
        room_url=_text(room, "url", required=False),
        token=token,
        identity=_text(raw, "identity", required=False),
        memory=None if memory is None else _memory(_field(raw, "memory", dict)),
        capture=_field(raw, "capture", bool, default=False),
        cause=_text(raw, "cause", required=False),
        read_only=_field(memory or {}, "readOnly", bool, default=False),
        remember=_field(memory or {}, "remember", bool, default=True),
        remember_block=_text(memory or {}, "rememberBlock", required=False) or DEFAULT_LABEL,
        recall=_field(memory or {}, "recall", bool, default=False),
        idle_seconds=_seconds(raw, "idleSeconds"),
        traceparent=_text(raw, "traceparent", required=False),
        token_expires_at=_expiry(claims),
        room_sid=_text(room, "sid", required=False),
        room_metadata=_text(room, "metadata", required=False),
        agent_metadata=_text(raw, "agentMetadata", required=False),
        token_epoch=_token_epoch(claims),
        admin_token=_text(raw, "adminToken", required=False),
        prewarm=_field(raw, "prewarm", bool, default=True),
        conversation=_conversation(raw),
    )


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of LiveKit's token, which only LiveKit can verify; none for another token."""
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}


def _expiry(claims: dict[str, Any]) -> float | None:
    at = claims.get("exp")
    return float(at) if isinstance(at, int | float) else None


def _token_epoch(claims: dict[str, Any]) -> str:
    attributes = claims.get("attributes")
    return str(attributes.get(EPOCH_ATTRIBUTE, "")) if isinstance(attributes, dict) else ""


def _memory(raw: dict[str, Any]) -> MemoryAddress:
    """Return the address. A Secret often has a line break at the end of its key, which no HTTP header may have."""
    return MemoryAddress(_text(raw, "baseURL"), _text(raw, "agentID"), _text(raw, "apiKey", required=False).strip())


def _conversation(raw: dict[str, Any]) -> Conversation:
    given = raw.get("conversation")
    try:
        return Conversation() if given is None else Conversation.from_json(given)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError("conversation is malformed") from error


def _epoch(raw: dict[str, Any]) -> int:
    epoch: int = _field(raw, "epoch", int, default=0)
    if isinstance(epoch, bool) or epoch < 0:
        raise MalformedError("epoch must be a number of 0 or more")
    return epoch


def _seconds(raw: dict[str, Any], name: str) -> float:
    seconds = raw.get(name) or 0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise MalformedError(f"{name} must be a number of 0 or more")
    return float(seconds)


def _text(raw: dict[str, Any], name: str, *, required: bool = True) -> str:
    value: str = _field(raw, name, str, default=None if required else "")
    if required and not value:
        raise MalformedError(f"{name} is empty")
    return value


def _field(raw: dict[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = raw.get(name)
    if value is None:
        value = default
    if not isinstance(value, kind):
        raise MalformedError(f"{name} must be of type {kind.__name__}")
    return value
