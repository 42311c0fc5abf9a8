"""An agent pod's own view of itself, asked over its control port with the operator's key."""

import base64
import hashlib
import json
import time
import uuid

import jwt

from hack.cluster import names
from tests.e2e.kubectl import Json, Kube

ASK = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8080/v1/state", headers={"Authorization": sys.stdin.read()})
print(urllib.request.urlopen(request, timeout=5).read().decode())
"""


def state(kube: Kube, pod: str, namespace: str) -> Json:
    """`GET /v1/state` of a running agent pod."""
    raw = kube.get("pod", pod, namespace)
    assert raw, f"no pod {pod}"
    bearer = f"Bearer {_token(kube, raw['metadata']['uid'])}"
    found: Json = json.loads(kube.exec(pod, namespace, "python", "-c", ASK, stdin=bearer))
    return found


def _token(kube: Kube, pod_uid: str) -> str:
    now = int(time.time())
    claims = {
        "aud": pod_uid,
        "iat": now,
        "exp": now + 30,
        "jti": uuid.uuid4().hex,
        "htm": "GET",
        "sha256": hashlib.sha256(b"").hexdigest(),
    }
    return jwt.encode(claims, _private_key(kube), algorithm="EdDSA")


def _private_key(kube: Kube) -> str:
    secrets = [s for s in kube.all("secrets", names.NAMESPACE) if "CONTROL_PRIVATE_KEY" in (s.get("data") or {})]
    assert len(secrets) == 1, f"{len(secrets)} Secrets hold CONTROL_PRIVATE_KEY"
    return base64.b64decode(secrets[0]["data"]["CONTROL_PRIVATE_KEY"]).decode()
