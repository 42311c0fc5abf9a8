"""Requests to the control port of an agent pod, signed with the operator's key."""

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import jwt

from hack.cluster import constants
from tests.support.cluster.kubectl import Json, Kube

PORT, METRICS_PORT = 8080, 9001
GET_STATE = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8080/v1/state", headers={"Authorization": sys.stdin.read()})
print(urllib.request.urlopen(request, timeout=5).read().decode())
"""


def state(kube: Kube, pod: str, namespace: str) -> Json:
    """Return the answer of `GET /v1/state` of a running agent pod."""
    raw = kube.get("pod", pod, namespace)
    assert raw, f"no pod {pod}"
    bearer = f"Bearer {sign(operator_key(kube), raw['metadata']['uid'])}"
    found: Json = json.loads(kube.exec(pod, namespace, "python", "-c", GET_STATE, stdin=bearer))
    return found


class ControlPortClient:
    """Requests to the control port of one pod with any token, and the pod's metrics about refused requests."""

    def __init__(self, address: str, metrics: str) -> None:
        self._address, self._metrics = address, metrics

    def request(self, method: str, body: bytes = b"", token: str = "") -> tuple[int, str]:
        """Send a request; return the HTTP status and the reason of a refusal."""
        request = urllib.request.Request(f"{self._address}/v1/state", data=body or None, method=method)  # noqa: S310  http only
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  as above
                return answer.status, ""
        except urllib.error.HTTPError as refused:
            return refused.code, str(json.loads(refused.read())["reason"])

    def refused_requests(self) -> dict[str, float]:
        """Return the number of refused requests so far, by reason."""
        with urllib.request.urlopen(f"{self._metrics}/metrics", timeout=10) as answer:  # noqa: S310  http only
            lines = answer.read().decode().splitlines()
        counted = [line for line in lines if line.startswith("voicesession_control_refused_total{")]
        return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in counted}


@contextmanager
def connect(kube: Kube, pod: str, namespace: str) -> Iterator[ControlPortClient]:
    """Forward the control port and the metrics port of the pod while the block runs."""
    with (
        kube.forwarded(f"pod/{pod}", namespace, PORT) as port,
        kube.forwarded(f"pod/{pod}", namespace, METRICS_PORT) as metrics_port,
    ):
        yield ControlPortClient(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}")


def sign(key: str, pod_uid: str, method: str = "GET", body: bytes = b"") -> str:
    """Return a token for one request, signed like the operator's."""
    now = int(time.time())
    claims = {
        "aud": pod_uid,
        "iat": now,
        "exp": now + 30,
        "jti": uuid.uuid4().hex,
        "htm": method,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return jwt.encode(claims, key, algorithm="EdDSA")


def operator_key(kube: Kube) -> str:
    """Return the operator's private key in PEM."""
    secrets = [s for s in kube.all("secrets", constants.NAMESPACE) if "CONTROL_PRIVATE_KEY" in (s.get("data") or {})]
    assert len(secrets) == 1, f"{len(secrets)} Secrets hold CONTROL_PRIVATE_KEY"
    return base64.b64decode(secrets[0]["data"]["CONTROL_PRIVATE_KEY"]).decode()
