"""The agent pod's control port: it is told a state and tells its own."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.api.constants import CONTROL_PORT
from voicesession_common.errors import RetryableError, TerminalError

from voicesession_operator import metrics
from voicesession_operator.domain.observed import AgentPodState, Timings

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
TOKEN_SECONDS: Final = 30
"""Life of a request's token: long enough for clocks that differ a little."""
WAIT_SECONDS: Final = 25
"""How long a pod holds the question for its next state; shorter than what proxies and middleboxes cut off."""
WAIT_TIMEOUT: Final = aiohttp.ClientTimeout(total=WAIT_SECONDS + 5.0, sock_connect=1.0)
OK: Final = 200
NOT_MODIFIED: Final = 304
MALFORMED: Final = 400
TIMINGS: Final = {"process_started": "processStarted", "prepared": "prepared", "bound": "bound", "joined": "joined"}


class ControlPort:
    """Client of all agent pods' control ports. Must be made inside a running loop."""

    def __init__(self, private_key: Ed25519PrivateKey, clock: Callable[[], float]) -> None:
        self._key = private_key
        self._clock = clock
        self._http = aiohttp.ClientSession(timeout=REQUEST_TIMEOUT)
        # Of their own, and as many as there are pods: no order may wait for the end of a wait.
        self._waits = aiohttp.ClientSession(timeout=WAIT_TIMEOUT, connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        await self._http.close()
        await self._waits.close()

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None:
        """What the pod says of itself; None if it does not answer or another pod has its address by now."""
        try:
            status, answer = await self._request("GET", ip, pod_uid, b"")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return to_pod_state(answer) if status == OK and answer.get("podUID") == pod_uid else None

    async def next_tag(self, ip: str, pod_uid: str, tag: str) -> str:
        """The entity tag of the pod's state once it is another one than `tag`, or after `WAIT_SECONDS`.

        Raises RetryableError while the pod does not answer, and TerminalError if it tells no tags.
        """
        headers = self._headers("GET", pod_uid, b"") | {"If-None-Match": tag, "Prefer": f"wait={WAIT_SECONDS}"}
        try:
            async with self._waits.get(_url(ip), headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("ControlPortUnavailable", "the agent pod's control port does not answer") from error
        if response.status not in (OK, NOT_MODIFIED):
            raise RetryableError("ControlPortRefused", f"the agent pod answers {response.status}")
        if "ETag" not in response.headers:
            raise TerminalError("NoEntityTag", "the agent pod cannot tell when its state changes")
        return response.headers["ETag"]

    async def tell(self, ip: str, pod_uid: str, wanted: dict[str, Any]) -> None:
        """Send the wanted state. Raises RetryableError, or TerminalError if the pod cannot read it."""
        try:
            status, answer = await self._request("PUT", ip, pod_uid, json.dumps(wanted).encode())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("ControlPortUnavailable", "the agent pod's control port does not answer") from error
        if status != OK:
            kind = TerminalError if status == MALFORMED else RetryableError
            raise kind("ControlPortRefused", f"the agent pod refuses its orders: {answer.get('reason', status)}")

    async def _request(self, method: str, ip: str, pod_uid: str, body: bytes) -> tuple[int, dict[str, Any]]:
        started, outcome = time.monotonic(), "unreachable"
        headers = self._headers(method, pod_uid, body)
        try:
            async with self._http.request(method, _url(ip), data=body, headers=headers) as response:
                answer = json.loads(await response.read())
                outcome = "ok" if response.status == OK else "refused"
                return response.status, answer if isinstance(answer, dict) else {}
        except ValueError as error:
            raise aiohttp.ClientPayloadError("not JSON") from error
        finally:
            metrics.CONTROL_REQUEST_SECONDS.labels(method, outcome).observe(time.monotonic() - started)

    def _headers(self, method: str, pod_uid: str, body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token(method, pod_uid, body)}", "Content-Type": "application/json"}

    def _token(self, method: str, pod_uid: str, body: bytes) -> str:
        now = int(self._clock())
        claims = {
            "aud": pod_uid,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": uuid.uuid4().hex,
            "htm": method,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


def load_private_key(pem: str) -> Ed25519PrivateKey:
    """From PEM (PKCS 8). Raises ValueError for anything but an Ed25519 key."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return key


def public_key_of(private_key: Ed25519PrivateKey) -> bytes:
    """The 32 raw bytes that agent pods check requests with."""
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return private_key.public_key().public_bytes(*raw)


def to_pod_state(answer: dict[str, Any]) -> AgentPodState:
    """The control port's JSON as values; what is missing has its empty value."""
    job, memory = answer.get("job") or {}, answer.get("memory") or {}
    left, health = answer.get("lastHumanLeft") or {}, answer.get("health") or {}
    return AgentPodState(
        state=answer.get("state", ""),
        session_uid=answer.get("sessionUID") or "",
        epoch=answer.get("epoch") or 0,
        participant_sid=job.get("participantSID") or "",
        job_epoch=job.get("epoch") or 0,
        active_at=answer.get("activeAt"),
        health=health.get("state") or "",
        health_message=health.get("message") or "",
        memory_agent_id=memory.get("agentID") or "",
        memory_problem=(memory.get("message") or "unavailable") if memory.get("state") == "Unavailable" else "",
        job_restarts=job.get("restarts") or 0,
        left_identity=left.get("identity") or "",
        left_reason=left.get("reason") or "",
        left_at=left.get("at") or 0.0,
        problem=answer.get("trouble") or "",
        timings=_to_timings(answer.get("timings") or {}),
    )


def _to_timings(told: dict[str, Any]) -> Timings:
    """What is no number is left out: an image of somebody else's may tell anything."""
    moments = {name: told.get(key) for name, key in TIMINGS.items()}
    return Timings(**{name: float(at) for name, at in moments.items() if isinstance(at, int | float)})


def _url(ip: str) -> str:
    host = f"[{ip}]" if ":" in ip else ip
    return f"http://{host}:{CONTROL_PORT}/v1/state"
