"""Validated session requests: LiveKit's standard token request and the session API's own request.

The token request is protobuf JSON: field names may be snake_case or camelCase, and some clients send empty values.
An empty value counts as absent.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.constants import AGENT_PREFIX

from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.naming import Caller, hash_label

AGENT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""The pattern of the CRD."""
NAME_CHARACTERS: Final = 253
ROOM_CHARACTERS: Final = 256
IDENTITY_CHARACTERS: Final = 128
PARTICIPANT_NAME_CHARACTERS: Final = 256
METADATA_CHARACTERS: Final = 16384
"""The CRD's limit for agentMetadata. A token travels in a URL, which has no room for more."""
ATTRIBUTES: Final = 32
ATTRIBUTE_CHARACTERS: Final = 1024
TOKEN_FIELDS: Final = frozenset(
    {
        "room_name",
        "participant_name",
        "participant_identity",
        "participant_metadata",
        "participant_attributes",
        "room_config",
    }
)
SESSION_FIELDS: Final = frozenset({"agent", "user", "roomName"})


@dataclass(frozen=True)
class SessionRequest:
    """A caller's request for a session. `caller`, `user_label` and `conversation` are label values."""

    caller: str
    conversation: str
    agent: str = ""
    """Empty: the agent of the existing conversation, or the default agent."""
    user: str = ""
    user_label: str = ""
    room_name: str = ""
    metadata: str = field(default="", repr=False)
    """For the agent's job only."""


@dataclass(frozen=True)
class ParticipantRequest:
    """The participant that a token is for."""

    identity: str
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def parse_token_request(
    body: object, caller: Caller, default_agent: str, nonce: str, request_id: str = ""
) -> tuple[SessionRequest, ParticipantRequest]:
    """Parse the body of POST /token. Raises ApiError.

    `nonce` is unique to the request. It names the conversation if the request has no room name, identity or
    `request_id`.
    """
    fields = _fields(body, "the request", TOKEN_FIELDS)
    agent, metadata = _agent(fields.get("room_config", {}))
    identity = _text(fields, "participant_identity", IDENTITY_CHARACTERS)
    if identity.startswith(AGENT_PREFIX):
        raise ApiError(ErrorCode.FIELD_NOT_ALLOWED, f"participant_identity must not begin with {AGENT_PREFIX!r}")
    room = _text(fields, "room_name", ROOM_CHARACTERS)
    user = caller.user or identity
    by_identity = ("identity", agent or default_agent, identity) if identity else ("request", request_id or nonce)
    request = SessionRequest(
        caller=caller.label,
        conversation=hash_label(caller.identity, *(("room", room) if room else by_identity)),
        agent=agent,
        user=user,
        user_label=caller.user_label(user) if user else "",
        room_name=room,
        metadata=metadata,
    )
    participant = ParticipantRequest(
        identity or f"human-{nonce[:12]}",
        _text(fields, "participant_name", PARTICIPANT_NAME_CHARACTERS),
        _text(fields, "participant_metadata", METADATA_CHARACTERS),
        _attributes(fields.get("participant_attributes", {})),
    )
    return request, participant


def parse_session_request(body: object, caller: Caller, nonce: str, request_id: str = "") -> SessionRequest:
    """Parse the body of POST /api/v1/sessions. Raises ApiError."""
    fields = _fields(body, "the request", SESSION_FIELDS)
    room = _text(fields, "roomName", ROOM_CHARACTERS)
    user = _text(fields, "user", NAME_CHARACTERS) or caller.user
    if caller.user and user != caller.user:
        raise ApiError(ErrorCode.USER_NOT_ALLOWED, "the token belongs to another user")
    return SessionRequest(
        caller=caller.label,
        conversation=hash_label(caller.identity, *(("room", room) if room else ("request", request_id or nonce))),
        agent=_agent_name(fields, "agent"),
        user=user,
        user_label=caller.user_label(user) if user else "",
        room_name=room,
    )


def _agent(config: object) -> tuple[str, str]:
    """Return name and metadata of the single agent that room_config may name."""
    agents = _fields(config, "room_config", frozenset({"agents"})).get("agents", [])
    if not isinstance(agents, list):
        raise ApiError(ErrorCode.INVALID_REQUEST, "room_config.agents must be a list")
    if len(agents) > 1:
        raise ApiError(ErrorCode.FIELD_NOT_ALLOWED, "room_config.agents: a session has one agent")
    if not agents:
        return "", ""
    agent = _fields(agents[0], "room_config.agents[0]", frozenset({"agent_name", "metadata"}))
    return _agent_name(agent, "agent_name"), _text(agent, "metadata", METADATA_CHARACTERS)


def _agent_name(fields: JsonObject, name: str) -> str:
    value = _text(fields, name, NAME_CHARACTERS)
    if value and not AGENT_NAME.fullmatch(value):
        message = f"{name} must be the name of a VoiceAgent: lower-case letters, digits, '-'"
        raise ApiError(ErrorCode.INVALID_REQUEST, message)
    return value


def _attributes(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ApiError(ErrorCode.INVALID_REQUEST, "participant_attributes must be an object of strings")
    reserved = next((name for name in value if name.startswith(constants.RESERVED_ATTRIBUTES)), None)
    if reserved is not None:
        message = f"participant_attributes: {reserved[:NAME_CHARACTERS]!r} is reserved"
        raise ApiError(ErrorCode.FIELD_NOT_ALLOWED, message)
    if len(value) > ATTRIBUTES or any(len(k) + len(v) > ATTRIBUTE_CHARACTERS for k, v in value.items()):
        message = f"participant_attributes: at most {ATTRIBUTES}, each of at most {ATTRIBUTE_CHARACTERS} characters"
        raise ApiError(ErrorCode.INVALID_REQUEST, message)
    return value


def _fields(value: object, where: str, known: frozenset[str]) -> JsonObject:
    """Return the fields that are not empty, by their names in `known`. Raises ApiError for any other field."""
    if not isinstance(value, dict):
        raise ApiError(ErrorCode.INVALID_REQUEST, f"{where} must be a JSON object")
    fields: JsonObject = {}
    for given_name, content in value.items():
        name = given_name if given_name in known else _snake_case(given_name)
        if not _is_empty(content, name in known) and fields.setdefault(name, content) != content:
            message = f"{where}: {name[:NAME_CHARACTERS]!r} appears twice with different values"
            raise ApiError(ErrorCode.INVALID_REQUEST, message)
    unknown = sorted(fields.keys() - known)
    if unknown:
        message = f"{where}: callers must not set {unknown[0][:NAME_CHARACTERS]!r}"
        raise ApiError(ErrorCode.FIELD_NOT_ALLOWED, message)
    return fields


def _is_empty(value: object, is_known: bool) -> bool:
    """Return True if the value counts as absent.

    false and 0 do so only in unknown fields: some clients send LiveKit's other fields with default values.
    """
    return not value and not (is_known and isinstance(value, int | float))


def _text(fields: JsonObject, name: str, longest: int) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise ApiError(ErrorCode.INVALID_REQUEST, f"{name} must be a string")
    if len(value) > longest:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"{name} must have at most {longest} characters")
    return value


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)
