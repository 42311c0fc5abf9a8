"""Signed questions to LiveKit, the operator and Letta."""

import base64
import hashlib
import json
import secrets
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


TUNNEL_SECONDS: Final = 15


def _kubectl(context: str | None, *args: str) -> list[str]:
    found = shutil.which("kubectl")
    if found is None:
        raise CommandError("kubectl is not on PATH")
    return [found, *(["--context", context] if context else []), *args]


@contextmanager
def forwarded(context: str | None, service: str, namespace: str, port: int) -> Iterator[int]:
    """The local port while the block runs. Raises CommandError where the Service has no pod that runs."""
    flags = ("--pod-running-timeout=5s", "-n", namespace)
    command = _kubectl(context, "port-forward", f"service/{service}", f":{port}", *flags)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        try:
            yield _port(process, service)
        finally:
            process.terminate()


def run(context: str | None, namespace: str, pod: str, *command: str) -> None:
    """Raises CommandError with the last line of its complaint."""
    words = _kubectl(context, "exec", pod, "-n", namespace, "--", *command)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TUNNEL_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{pod} does not answer") from error
    if done.returncode:
        raise CommandError((done.stderr.strip() or "it failed").splitlines()[-1])


def _port(process: "subprocess.Popen[str]", service: str) -> int:
    out = process.stdout
    line = out.readline() if out and select.select([out], [], [], TUNNEL_SECONDS)[0] else ""
    if "Forwarding from" not in line:
        raise CommandError(f"no way to {service}: {line.strip() or 'kubectl says nothing'}")
    return int(line.split(" -> ")[0].rsplit(":", 1)[1])
