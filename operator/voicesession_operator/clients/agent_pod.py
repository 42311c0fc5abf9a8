"""Client of the agent pods' control ports: read a pod's state and conversation, and send its desired state."""

import hashlib
import json
import socket
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
from voicesession_operator.clients.conversation import to_conversation
from voicesession_operator.domain.observed import AgentPodState, PodNews, Timings

REQUEST_SECONDS: Final = 1.0
"""Time limit of a request: a pod that does not answer must not delay the other sessions of its worker."""
TOKEN_SECONDS: Final = 30
"""Lifetime of a request's token: long enough for small clock differences."""
WAIT_SECONDS: Final = 110
"""Time for which a pod may hold a long poll; shorter than the idle limits of service meshes, such as Istio's 300 s."""
KEEPALIVE_IDLE_SECONDS: Final = 10
KEEPALIVE_INTERVAL_SECONDS: Final = 3
KEEPALIVE_PROBES: Final = 3
"""The kernel ends a long poll to a node that is gone after 19 s, although nothing is sent meanwhile."""
WAIT_MARGIN_SECONDS: Final = 5.0
ANSWER_BYTES: Final = 256 * 1024
"""Longest answer that is read. A state has about 1 KiB, and the identity of each human, up to 256 characters."""
TAG_CHARACTERS: Final = 128
TEXT_CHARACTERS: Final = 1024
"""Longest text taken from a state; a status condition keeps no more."""
STATE_PATH: Final = "/v1/state"
CONVERSATION_PATH: Final = "/v1/conversation"
MAX_TIME: Final = 1e11
"""Unix seconds in the year 5138; a later time, an infinite one or a negative one is no time."""
MAX_COUNT: Final = 2**31 - 1
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
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._key = private_key
        self._clock = clock
        self._port = port
        self._wait_seconds = wait_seconds
        limit = aiohttp.ClientTimeout(total=request_seconds)
        self._http = aiohttp.ClientSession(timeout=limit, cookie_jar=aiohttp.DummyCookieJar())
        # Long polls have their own unlimited connections, so that no request queues behind them.
        self._first_limit = aiohttp.ClientTimeout(total=request_seconds)
        timeout = aiohttp.ClientTimeout(total=wait_seconds + WAIT_MARGIN_SECONDS, sock_connect=request_seconds)
        self._wait_limit = timeout
        self._waits = aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_keepalive_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._http.close()
        await self._waits.close()

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None:
        """Return the pod's state; None if it does not answer or its address now belongs to another pod."""
        answer = await self._get(ip, pod_uid, STATE_PATH)
        return None if answer is None else to_pod_state(answer)

    async def conversation(self, ip: str, pod_uid: str) -> JsonObject | None:
        """Return the conversation that the pod's replacement continues; None if the pod reports none."""
        answer = await self._get(ip, pod_uid, CONVERSATION_PATH)
        return None if answer is None else to_conversation(answer)

    async def wait_for_change(self, ip: str, pod_uid: str, tag: str) -> PodNews:
        """Return the pod's state and its entity tag as soon as that differs from `tag`, or after `wait_seconds`.

        Without a tag the pod must answer as fast as other requests. Raise RetryableError while the pod does not
        answer, and TerminalError if it sends no usable entity tags.
        """
        headers = self._headers("GET", pod_uid, b"") | {"If-None-Match": tag, "Prefer": f"wait={self._wait_seconds}"}
        limit = self._wait_limit if tag else self._first_limit
        try:
            async with self._waits.get(
                _url(ip, self._port, STATE_PATH), headers=headers, allow_redirects=False, timeout=limit
            ) as response:
                body = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError("ControlPortUnavailable", "the agent pod's control port does not answer") from error
        if response.status not in (OK, NOT_MODIFIED):
            raise RetryableError("ControlPortRefused", f"the agent pod answers {response.status}")
        found = response.headers.get("ETag", "")
        if not _is_usable(found):
            raise TerminalError("NoEntityTag", "the agent pod does not report changes of its state")
        return PodNews(found, None if response.status == NOT_MODIFIED else _to_own_state(body, pod_uid))

    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> AgentPodState | None:
        """Send the desired state. Return the state that the pod answers, None if that is no state of this pod.

        Raise RetryableError, or TerminalError if the pod cannot parse the desired state.
        """
        try:
            status, answer = await self._request("PUT", ip, pod_uid, json.dumps(desired).encode())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("ControlPortUnavailable", "the agent pod's control port does not answer") from error
        if status != OK:
            kind = TerminalError if status == MALFORMED else RetryableError
            reason = answer.get("reason", status)
            raise kind("ControlPortRefused", f"the agent pod refuses its desired state: {reason}")
        return to_pod_state(answer) if answer.get("podUID") == pod_uid else None

    async def _get(self, ip: str, pod_uid: str, path: str) -> JsonObject | None:
        """Return the pod's answer; None if it does not answer or its address now belongs to another pod."""
        try:
            status, answer = await self._request("GET", ip, pod_uid, b"", path)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return answer if status == OK and answer.get("podUID") == pod_uid else None

    async def _request(
        self, method: str, ip: str, pod_uid: str, body: bytes, path: str = STATE_PATH
    ) -> tuple[int, JsonObject]:
        started, outcome = time.monotonic(), "unreachable"
        headers = self._headers(method, pod_uid, body, path)
        try:
            async with self._http.request(
                method, _url(ip, self._port, path), data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = json.loads(await _read(response))
                outcome = "ok" if response.status == OK else "refused"
                return response.status, answer if isinstance(answer, dict) else {}
        except (ValueError, RecursionError) as error:
            raise aiohttp.ClientPayloadError("not JSON") from error
        finally:
            metrics.CONTROL_REQUEST_SECONDS.labels(method, outcome).observe(time.monotonic() - started)

    def _headers(self, method: str, pod_uid: str, body: bytes, path: str = STATE_PATH) -> dict[str, str]:
        now = int(self._clock())
        claims = {
            "aud": pod_uid,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": uuid.uuid4().hex,
            "htm": method,
            "htu": path,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        token = jwt.encode(claims, self._key, algorithm="EdDSA")
        # A compressed answer could be thousands of times longer than its transfer.
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept-Encoding": "identity"}


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


def _keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket whose peer must acknowledge probes while the connection is idle."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    return made


def _url(ip: str, port: int, path: str) -> str:
    host = f"[{ip}]" if ":" in ip else ip
    return f"http://{host}:{port}{path}"


def _to_own_state(body: bytes, pod_uid: str) -> AgentPodState:
    """Parse the state of this pod. Raise RetryableError if it is none, or the state of another pod at the address."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or answer.get("podUID") != pod_uid:
        raise RetryableError("ControlPortRefused", "the agent pod's answer is not its state")
    return to_pod_state(answer)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body. Raise aiohttp.ClientPayloadError if it has more than ANSWER_BYTES or is compressed."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise aiohttp.ClientPayloadError("compressed")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("too long")
    return bytes(body)


def _is_usable(tag: str) -> bool:
    """Return True if the entity tag can be sent back in a header."""
    return 0 < len(tag) <= TAG_CHARACTERS and tag.isascii() and tag.isprintable()


def to_pod_state(answer: JsonObject) -> AgentPodState:
    """Parse the control port's JSON. A custom image may send anything: unusable fields get their empty value."""
    job, memory = _object(answer.get("job")), _object(answer.get("memory"))
    left, health = _object(answer.get("lastHumanLeft")), _object(answer.get("health"))
    unavailable = memory.get("state") == "Unavailable"
    return AgentPodState(
        state=_text(answer.get("state")),
        session_uid=_text(answer.get("sessionUID")),
        epoch=_count(answer.get("epoch")),
        participant_sid=_text(job.get("participantSID")),
        participant_epoch=_text(job.get("participantEpoch")),
        job_epoch=_count(job.get("epoch")),
        ended_epoch=_count(answer.get("endedEpoch")),
        active_at=_time(answer.get("activeAt")),
        health=_text(health.get("state")),
        health_message=_text(health.get("message")),
        memory_agent_id=_text(memory.get("agentID")),
        memory_problem=(_text(memory.get("message")) or "unavailable") if unavailable else "",
        job_restarts=_count(job.get("restarts")),
        humans=_texts(answer.get("humans")),
        left_identity=_text(left.get("identity")),
        left_reason=_text(left.get("reason")),
        left_at=_time(left.get("at")) or 0.0,
        token_expires_at=_time(answer.get("tokenExpiresAt")),
        problem=_text(answer.get("trouble")),
        timings=_to_timings(_object(answer.get("timings"))),
    )


def _to_timings(values: JsonObject) -> Timings:
    return Timings(**{name: _time(values.get(key)) for name, key in TIMINGS.items()})


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """Return at most TEXT_CHARACTERS of a text, without characters that UTF-8 cannot encode."""
    return value[:TEXT_CHARACTERS].encode(errors="replace").decode() if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list; ANSWER_BYTES limits their number."""
    return tuple(_text(item) for item in value) if isinstance(value, list) else ()


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else 0


def _time(value: object) -> float | None:
    """Return Unix seconds. NaN and both infinities fail the comparison too."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TIME
    return float(value) if known else None  # type: ignore[arg-type]
