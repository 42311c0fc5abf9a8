"""What a request asks for, checked: LiveKit's standard token request, and the session API's own.

The token request is protobuf's JSON, whose field names may be snake_case or camelCase, and which some senders fill
with empty values: an empty value is as good as none.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from voicesession_common.api import constants
from voicesession_common.api.constants import AGENT_PREFIX

from voicesession_gateway import naming
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.naming import Caller

Object = dict[str, Any]

AGENT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""As the CRD has it."""
NAME_CHARACTERS: Final = 253
ROOM_CHARACTERS: Final = 256
IDENTITY_CHARACTERS: Final = 128
PARTICIPANT_NAME_CHARACTERS: Final = 256
METADATA_CHARACTERS: Final = 16384
"""As the CRD has it for room.metadata; more would not fit into a token that travels in a URL either."""
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
class Wish:
    """A session of a caller. `caller`, `user_label` and `conversation` are label values."""

    caller: str
    conversation: str
    agent: str = ""
    """Empty: whichever the conversation has, or the default one."""
    user: str = ""
    user_label: str = ""
    room_name: str = ""
    metadata: str = ""


@dataclass(frozen=True)
class Guest:
    """Whom a token is for."""

    identity: str
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def token_wish(
    body: object, caller: Caller, default_agent: str, nonce: str, request_id: str = ""
) -> tuple[Wish, Guest]:
    """From the body of POST /token; `nonce` is new for every request and names what nothing else does.

    Raises Refusal.
    """
    told = _fields(body, "the request", TOKEN_FIELDS)
    agent, metadata = _agent(told.get("room_config", {}))
    identity = _text(told, "participant_identity", IDENTITY_CHARACTERS)
    if identity.startswith(AGENT_PREFIX):
        raise Refusal(Kind.FIELD_NOT_ALLOWED, f"participant_identity must not begin with {AGENT_PREFIX!r}")
    room = _text(told, "room_name", ROOM_CHARACTERS)
    user = caller.user or identity
    by_identity = ("identity", agent or default_agent, identity) if identity else ("request", request_id or nonce)
    wish = Wish(
        caller=caller.label,
        conversation=naming.label(caller.identity, *(("room", room) if room else by_identity)),
        agent=agent,
        user=user,
        user_label=caller.user_label(user) if user else "",
        room_name=room,
        metadata=metadata,
    )
    guest = Guest(
        identity or f"human-{nonce[:12]}",
        _text(told, "participant_name", PARTICIPANT_NAME_CHARACTERS),
        _text(told, "participant_metadata", METADATA_CHARACTERS),
        _attributes(told.get("participant_attributes", {})),
    )
    return wish, guest


def session_wish(body: object, caller: Caller, nonce: str, request_id: str = "") -> Wish:
    """From the body of POST /api/v1/sessions. Raises Refusal."""
    told = _fields(body, "the request", SESSION_FIELDS)
    room = _text(told, "roomName", ROOM_CHARACTERS)
    user = _text(told, "user", NAME_CHARACTERS) or caller.user
    if caller.user and user != caller.user:
        raise Refusal(Kind.USER_NOT_ALLOWED, "the token is another user's")
    return Wish(
        caller=caller.label,
        conversation=naming.label(caller.identity, *(("room", room) if room else ("request", request_id or nonce))),
        agent=_agent_name(told, "agent"),
        user=user,
        user_label=caller.user_label(user) if user else "",
        room_name=room,
    )


def _agent(config: object) -> tuple[str, str]:
    """Name and metadata of the one agent that room_config may name."""
    told = _fields(config, "room_config", frozenset({"agents"}))
    agents = told.get("agents", [])
    if not isinstance(agents, list):
        raise Refusal(Kind.INVALID_REQUEST, "room_config.agents must be a list")
    if len(agents) > 1:
        raise Refusal(Kind.FIELD_NOT_ALLOWED, "room_config.agents: a session has one agent")
    if not agents:
        return "", ""
    where = "room_config.agents[0]"
    agent = _fields(agents[0], where, frozenset({"agent_name", "metadata"}))
    return _agent_name(agent, "agent_name"), _text(agent, "metadata", METADATA_CHARACTERS)


def _agent_name(told: Object, name: str) -> str:
    found = _text(told, name, NAME_CHARACTERS)
    if found and not AGENT_NAME.fullmatch(found):
        raise Refusal(Kind.INVALID_REQUEST, f"{name} must be the name of a VoiceAgent: lower-case letters, digits, '-'")
    return found


def _attributes(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Refusal(Kind.INVALID_REQUEST, "participant_attributes must be an object of strings")
    reserved = next((name for name in found if name.startswith(constants.RESERVED_ATTRIBUTES)), None)
    if reserved is not None:
        raise Refusal(Kind.FIELD_NOT_ALLOWED, f"participant_attributes: {reserved[:NAME_CHARACTERS]!r} is reserved")
    if len(found) > ATTRIBUTES or any(len(k) + len(v) > ATTRIBUTE_CHARACTERS for k, v in found.items()):
        message = f"participant_attributes: at most {ATTRIBUTES}, each of {ATTRIBUTE_CHARACTERS} characters"
        raise Refusal(Kind.INVALID_REQUEST, message)
    return found


def _fields(found: object, where: str, known: frozenset[str]) -> Object:
    """The fields that are not empty, by the names of `known`. Raises Refusal for any other."""
    if not isinstance(found, dict):
        raise Refusal(Kind.INVALID_REQUEST, f"{where} must be a JSON object")
    told: Object = {}
    for given, value in found.items():
        name = given if given in known else _snake_case(given)
        if not _is_empty(value, name in known) and told.setdefault(name, value) != value:
            raise Refusal(Kind.INVALID_REQUEST, f"{where}: {name[:NAME_CHARACTERS]!r} is there twice, and not the same")
    unknown = sorted(told.keys() - known)
    if unknown:
        raise Refusal(Kind.FIELD_NOT_ALLOWED, f"{where}: {unknown[0][:NAME_CHARACTERS]!r} is not for callers to set")
    return told


def _is_empty(value: object, is_known: bool) -> bool:
    """As good as none. false and 0 are so only where senders fill in a field of LiveKit's that is none of ours."""
    return not value and not (is_known and isinstance(value, int | float))


def _text(told: Object, name: str, longest: int) -> str:
    found = told.get(name, "")
    if not isinstance(found, str):
        raise Refusal(Kind.INVALID_REQUEST, f"{name} must be a string")
    if len(found) > longest:
        raise Refusal(Kind.INVALID_REQUEST, f"{name} must have at most {longest} characters")
    return found


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)
