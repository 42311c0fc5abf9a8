"""Deterministic names, derived from the session, so that every creation is idempotent."""

import hashlib
import json
from typing import Final

from voicesession_common.api.constants import AGENT_PREFIX
from voicesession_common.api.voicesession import VoiceSession

from voicesession_operator.domain.observed import RoomOwner

ROOM_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
ROOM_CHARACTERS: Final = 12
POD_PREFIX_CHARACTERS: Final = 40
"""Part of a 63-character host name that leaves space for `-<8 hex>-<ordinal>`."""
IDENTITY_CHARACTERS: Final = 63
OWNER: Final = "voicesession"
"""Key of the owner in a room's metadata."""
METADATA_CHARACTERS: Final = 256 * 1024
"""Longest metadata that is parsed. The operator's own has at most about 115 KiB: 16384 characters, escaped twice."""
LABEL_CHARACTERS: Final = 63
"""Maximum length of a label value in Kubernetes."""


def room_name(session_uid: str) -> str:
    """Return `vs-` and 12 characters of [a-z0-9] from the UID's SHA-256; constant during the session's life."""
    number = int.from_bytes(_digest(session_uid), "big")
    drawn = []
    for _ in range(ROOM_CHARACTERS):
        number, index = divmod(number, len(ROOM_ALPHABET))
        drawn.append(ROOM_ALPHABET[index])
    return "vs-" + "".join(drawn)


def pod_name(session_name: str, session_uid: str, ordinal: int) -> str:
    """Return `<session name, cut>-<8 hex of the UID's SHA-256>-<ordinal>`, up to 63 characters below ordinal 10^13."""
    prefix = session_name[:POD_PREFIX_CHARACTERS].replace(".", "-").strip("-")
    return f"{prefix}-{_digest(session_uid).hex()[:8]}-{ordinal}"


def agent_identity(agent_name: str) -> str:
    """Return the agent's identity in the room: `agent-<VoiceAgent name>`, at most 63 characters."""
    return f"{AGENT_PREFIX}{agent_name}"[:IDENTITY_CHARACTERS]


def room_metadata(session: VoiceSession, installation_id: str) -> str:
    """Return the room's metadata as JSON: its session, and `spec.room.metadata` as a string.

    Every participant can read it. The session's UID, by which Kubernetes names the owner of a pod, is not in it.
    """
    owner = {"installation": installation_id, "namespace": session.namespace, "name": session.name}
    return json.dumps({OWNER: owner, "metadata": session.room_metadata}, separators=(",", ":"))


def room_owner(metadata: str) -> RoomOwner | None:
    """Return the owner from a room's metadata; None for foreign rooms, whose metadata may be anything."""
    if OWNER not in metadata or len(metadata) > METADATA_CHARACTERS:
        return None
    try:
        owner = json.loads(metadata)[OWNER]
        installation, namespace, name = (owner[key] for key in ("installation", "namespace", "name"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(isinstance(text, str) for text in (installation, namespace, name)):
        return None
    return RoomOwner(installation, namespace, name)


def label_value(name: str) -> str:
    """Return the name as a label value: unchanged, or 32 hex digits of its SHA-256 if it has over 63 characters."""
    return name if len(name) <= LABEL_CHARACTERS else _digest(name).hex()[:32]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
