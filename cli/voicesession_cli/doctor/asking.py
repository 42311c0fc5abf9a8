"""Signed questions to LiveKit, the operator and Letta."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any, Final

import jwt
import urllib3

from voicesession_cli.errors import CommandError

SECONDS: Final = 10
TOKEN_SECONDS: Final = 60
HTTP: Final = urllib3.PoolManager(retries=False)


def list_rooms(url: str, key: str, secret: str) -> int:
    """The status of LiveKit's answer. Raises CommandError where there is none."""
    token = _token(key, secret, {"video": {"roomList": True}})
    place = f"{url}/twirp/livekit.RoomService/ListRooms"
    return _ask("POST", place, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, b"{}")[0]


def deliver(url: str, key: str, secret: str) -> tuple[int, str]:
    """Post an event as LiveKit does, of a kind that changes nothing; status and reason of the answer."""
    event = {"event": "doctor", "id": f"EV_{secrets.token_hex(8)}", "createdAt": str(int(time.time()))}
    body = json.dumps(event).encode()
    token = _token(key, secret, {"sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()})
    status, answer = _ask("POST", url, {"Authorization": token, "Content-Type": "application/webhook+json"}, body)
    try:
        told = json.loads(answer)
    except ValueError:
        told = {}
    return status, str(told.get("reason") or told.get("outcome") or "")


def list_agents(url: str, password: str) -> int:
    """Letta's answer to a call that reads its database: its health check does not."""
    return _ask("GET", f"{url}/v1/agents/?limit=1", {"Authorization": f"Bearer {password}"}, None)[0]


def _token(key: str, secret: str, claims: dict[str, Any]) -> str:
    now = int(time.time())
    return jwt.encode({"iss": key, "nbf": now - 10, "exp": now + TOKEN_SECONDS, **claims}, secret, algorithm="HS256")


def _ask(method: str, url: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
    try:
        answer = HTTP.request(method, url, headers=headers, body=body, timeout=SECONDS)
    except urllib3.exceptions.HTTPError as error:
        raise CommandError("it does not answer") from error
    return answer.status, answer.data
