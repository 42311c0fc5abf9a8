"""Requests to LiveKit, the operator and Letta, through kubectl where they are inside the cluster."""

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

REQUEST_SECONDS: Final = 10
TOKEN_SECONDS: Final = 60
HTTP: Final = urllib3.PoolManager(retries=False)


def list_rooms_status(url: str, key: str, secret: str) -> int:
    """List LiveKit's rooms and return the HTTP status. Raises CommandError without a response."""
    token = _token(key, secret, {"video": {"roomList": True}})
    list_rooms = f"{url}/twirp/livekit.RoomService/ListRooms"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return _request("POST", list_rooms, headers, b"{}")[0]


def deliver_webhook(url: str, key: str, secret: str) -> tuple[int, str]:
    """Post an event as LiveKit does, of a kind without effect; return the HTTP status and the reason."""
    event = {"event": "doctor", "id": f"EV_{secrets.token_hex(8)}", "createdAt": str(int(time.time()))}
    body = json.dumps(event).encode()
    token = _token(key, secret, {"sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()})
    status, response = _request("POST", url, {"Authorization": token, "Content-Type": "application/webhook+json"}, body)
    try:
        parsed = json.loads(response)
    except ValueError:
        parsed = {}
    return status, str(parsed.get("reason") or parsed.get("outcome") or "")


def list_agents_status(url: str, password: str) -> int:
    """List Letta's agents and return the HTTP status; unlike Letta's health check, this reads its database."""
    return _request("GET", f"{url}/v1/agents/?limit=1", {"Authorization": f"Bearer {password}"}, None)[0]


def _token(key: str, secret: str, claims: dict[str, Any]) -> str:
    now = int(time.time())
    return jwt.encode({"iss": key, "nbf": now - 10, "exp": now + TOKEN_SECONDS, **claims}, secret, algorithm="HS256")


def _request(method: str, url: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
    try:
        response = HTTP.request(method, url, headers=headers, body=body, timeout=REQUEST_SECONDS)
    except urllib3.exceptions.HTTPError as error:
        raise CommandError("it does not answer") from error
    return response.status, response.data


KUBECTL_SECONDS: Final = 15


def _kubectl(context: str | None, *args: str) -> list[str]:
    program = shutil.which("kubectl")
    if program is None:
        raise CommandError("kubectl is not on PATH")
    return [program, *(["--context", context] if context else []), *args]


@contextmanager
def port_forward(context: str | None, service: str, namespace: str, port: int) -> Iterator[int]:
    """Forward a Service's port and yield the local port. Raises CommandError if the Service has no running pod."""
    flags = ("--pod-running-timeout=5s", "-n", namespace)
    command = _kubectl(context, "port-forward", f"service/{service}", f":{port}", *flags)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        try:
            yield _local_port(process, service)
        finally:
            process.terminate()


def execute(context: str | None, namespace: str, pod: str, *command: str) -> None:
    """Execute a command in a pod. Raises CommandError with the last line of its error output."""
    kubectl = _kubectl(context, "exec", pod, "-n", namespace, "--", *command)
    try:
        done = subprocess.run(kubectl, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{pod} does not answer") from error
    if done.returncode:
        raise CommandError((done.stderr.strip() or "it failed").splitlines()[-1])


def _local_port(process: "subprocess.Popen[str]", service: str) -> int:
    out = process.stdout
    line = out.readline() if out and select.select([out], [], [], KUBECTL_SECONDS)[0] else ""
    if "Forwarding from" not in line:
        raise CommandError(f"cannot forward a port to {service}: {line.strip() or 'no output from kubectl'}")
    return int(line.split(" -> ")[0].rsplit(":", 1)[1])
