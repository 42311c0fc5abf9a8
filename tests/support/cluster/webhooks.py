"""Webhooks in LiveKit's format, with valid or invalid signatures."""

import base64
import hashlib
import json
import time
import uuid
from typing import Any

import jwt

from tests.support.cluster.rooms import Key

PATH = "/livekit/webhook"


def event(room: str, kind: str = "participant_left", identity: str = "alice", at: float | None = None) -> bytes:
    """Return the body of one webhook with a unique id."""
    created = int(time.time() if at is None else at)
    document = {
        "event": kind,
        "id": f"EV_{uuid.uuid4().hex}",
        "createdAt": str(created),
        "room": {"name": room, "sid": "RM_test"},
        "participant": {"identity": identity, "sid": "PA_test", "state": "DISCONNECTED"},
    }
    return json.dumps(document).encode()


def headers(body: bytes, key: Key) -> dict[str, str]:
    """Return the headers with LiveKit's signature: issuer and hash of the body, valid for five minutes."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": key.key,
        "nbf": now,
        "exp": now + 300,
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    token = jwt.encode(claims, key.secret, algorithm="HS256")
    return {"Authorization": token, "Content-Type": "application/webhook+json"}
