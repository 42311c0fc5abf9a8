"""Names that follow from a session alone, so that creating anything twice meets the first one."""

import hashlib
import json
from typing import Final

from voicesession_common.api.constants import AGENT_PREFIX
from voicesession_common.api.voicesession import VoiceSession

ROOM_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
ROOM_CHARACTERS: Final = 12
POD_PREFIX_CHARACTERS: Final = 40
"""Leaves room in a 63-character host name for `-<8 hex>-<ordinal>`."""
IDENTITY_CHARACTERS: Final = 63
LABEL_CHARACTERS: Final = 63
"""Longest label value Kubernetes takes."""


def room_name(session_uid: str) -> str:
    """`vs-` and 12 characters of [a-z0-9] drawn from the UID's SHA-256: the same for the session's whole life."""
    number = int.from_bytes(_digest(session_uid), "big")
    drawn = []
    for _ in range(ROOM_CHARACTERS):
        number, index = divmod(number, len(ROOM_ALPHABET))
        drawn.append(ROOM_ALPHABET[index])
    return "vs-" + "".join(drawn)


def pod_name(session_name: str, session_uid: str, ordinal: int) -> str:
    """`<session name, cut>-<8 hex of the UID's SHA-256>-<ordinal>`; at most 63 characters below ordinal 10^13."""
    prefix = session_name[:POD_PREFIX_CHARACTERS].replace(".", "-").strip("-")
    return f"{prefix}-{_digest(session_uid).hex()[:8]}-{ordinal}"


def agent_identity(agent_name: str) -> str:
    """The agent's identity in the room: `agent-<VoiceAgent name>`, at most 63 characters."""
    return f"{AGENT_PREFIX}{agent_name}"[:IDENTITY_CHARACTERS]


def room_metadata(session: VoiceSession, installation_id: str) -> str:
    """The JSON in a room's metadata: whose room it is, and the user's own `spec.room.metadata` as a string."""
    owner = {
        "installation": installation_id,
        "namespace": session.namespace,
        "name": session.name,
        "uid": session.uid,
    }
    return json.dumps({"voicesession": owner, "metadata": session.room_metadata}, separators=(",", ":"))


def label_value(name: str) -> str:
    """A name that fits a label: itself, or the first 32 hex of its SHA-256 where it is longer than 63 characters."""
    return name if len(name) <= LABEL_CHARACTERS else _digest(name).hex()[:32]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
