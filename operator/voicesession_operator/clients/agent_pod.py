"""Client of the agent pods' control ports: read a pod's state and send its desired state."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Final

import aiohttp
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common import JsonObject
from voicesession_common.api.constants import CONTROL_PORT
from voicesession_common.errors import RetryableError, TerminalError

from voicesession_operator import metrics
from voicesession_operator.domain.observed import AgentPodState, Timings

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
TOKEN_SECONDS: Final = 30
"""Lifetime of a request's token: long enough for small clock differences."""
WAIT_SECONDS: Final = 25
"""Time for which a pod may hold a long poll; shorter than the idle limits of proxies and middleboxes."""
WAIT_MARGIN_SECONDS: Final = 5.0
OK: Final = 200
NOT_MODIFIED: Final = 304
MALFORMED: Final = 400
TIMINGS: Final = {"process_started": "processStarted", "prepared": "prepared", "bound": "bound", "joined": "joined"}


class AgentPodClient:
    """Client of all agent pods' control ports. Must be created inside a running loop."""

    def __init__(
        self,
        private_key: Ed25519PrivateKey,
        clock: Callable[[], float],
        port: int = CONTROL_PORT,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        self._key = private_key
        self._clock = clock
        self._port = port
        self._wait_seconds = wait_seconds
        self._http = aiohttp.ClientSession(timeout=REQUEST_TIMEOUT)
        # Long polls have their own unlimited connections, so that no request queues behind them.
        timeout = aiohttp.ClientTimeout(total=wait_seconds + WAIT_MARGIN_SECONDS, sock_connect=1.0)
        self._waits = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        await self._http.close()
        await self._waits.close()

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None:
        """Return the pod's state; None if it does not answer or its address now belongs to another pod."""
        try:
            status, answer = await self._request("GET", ip, pod_uid, b"")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return to_pod_state(answer) if status == OK and answer.get("podUID") == pod_uid else None

    async def wait_for_change(self, ip: str, pod_uid: str, tag: str) -> str:
        """Return the entity tag of the pod's state as soon as it differs from `tag`, or after `wait_seconds`.

        Raise RetryableError while the pod does not answer, and TerminalError if it sends no entity tags.
        """
        headers = self._headers("GET", pod_uid, b"") | {"If-None-Match": tag, "Prefer": f"wait={self._wait_seconds}"}
        try:
            async with self._waits.get(self._url(ip), headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("ControlPortUnavailable", "the agent pod's control port does not answer") from error
        if response.status not in (OK, NOT_MODIFIED):
            raise RetryableError("ControlPortRefused", f"the agent pod answers {response.status}")
        if "ETag" not in response.headers:
            raise TerminalError("NoEntityTag", "the agent pod does not report changes of its state")
        return response.headers["ETag"]

    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> None:
        """Send the desired state. Raise RetryableError, or TerminalError if the pod cannot parse it."""
        try:
            status, answer = await self._request("PUT", ip, pod_uid, json.dumps(desired).encode())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("ControlPortUnavailable", "the agent pod's control port does not answer") from error
        if status != OK:
            kind = TerminalError if status == MALFORMED else RetryableError
            reason = answer.get("reason", status)
            raise kind("ControlPortRefused", f"the agent pod refuses its desired state: {reason}")

    async def _request(self, method: str, ip: str, pod_uid: str, body: bytes) -> tuple[int, JsonObject]:
        started, outcome = time.monotonic(), "unreachable"
        headers = self._headers(method, pod_uid, body)
        try:
            async with self._http.request(method, self._url(ip), data=body, headers=headers) as response:
                answer = json.loads(await response.read())
                outcome = "ok" if response.status == OK else "refused"
                return response.status, answer if isinstance(answer, dict) else {}
        except ValueError as error:
            raise aiohttp.ClientPayloadError("not JSON") from error
        finally:
            metrics.CONTROL_REQUEST_SECONDS.labels(method, outcome).observe(time.monotonic() - started)

    def _headers(self, method: str, pod_uid: str, body: bytes) -> dict[str, str]:
        now = int(self._clock())
        claims = {
            "aud": pod_uid,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": uuid.uuid4().hex,
            "htm": method,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        token = jwt.encode(claims, self._key, algorithm="EdDSA")
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def _url(self, ip: str) -> str:
        host = f"[{ip}]" if ":" in ip else ip
        return f"http://{host}:{self._port}/v1/state"


def load_private_key(pem: str) -> Ed25519PrivateKey:
    """Parse a private key in PEM (PKCS 8). Raise ValueError for anything but an Ed25519 key."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return key


def public_key_of(private_key: Ed25519PrivateKey) -> bytes:
    """Return the 32 raw bytes with which agent pods verify requests."""
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return private_key.public_key().public_bytes(*raw)


def to_pod_state(answer: JsonObject) -> AgentPodState:
    """Parse the control port's JSON; missing fields get their empty value."""
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


def _to_timings(values: JsonObject) -> Timings:
    """Parse the timings; leave out values that are not numbers, since a custom image may send anything."""
    moments = {name: values.get(key) for name, key in TIMINGS.items()}
    return Timings(**{name: float(at) for name, at in moments.items() if isinstance(at, int | float)})
