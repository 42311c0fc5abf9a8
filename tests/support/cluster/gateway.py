"""Clients of the gateway: of the release's gateway, or of replicas on the host with settings of a test."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import aiohttp

from hack.cluster import constants
from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.rooms import LiveKit
from tests.support.polling import until

NODE_PORT = 30900
ANSWER_SECONDS = 200
"""Longer than the start of any session in a test."""
UP_SECONDS = 60
STOP_SECONDS = 40


@dataclass(frozen=True)
class Answer:
    """One HTTP answer: `body` is the JSON or None, header names are lower-case."""

    status: int
    body: Any
    headers: dict[str, str]
    seconds: float = 0.0

    @property
    def code(self) -> str:
        """Return the error code."""
        return str(self.body["error"]["code"])

    @property
    def session(self) -> str:
        """Return the name of the VoiceSession."""
        return self.headers["voicesession-name"]


class Gateway:
    """Blocking client of one gateway, as one caller."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(
        self, method: str, path: str, body: Any = None, seconds: float = ANSWER_SECONDS, **headers: str
    ) -> Answer:
        """Send a request and return the answer with any status; raise OSError if none came in time."""
        began = time.monotonic()
        try:
            with self._open(method, path, body, seconds, headers) as response:
                return _answer(response, time.monotonic() - began)
        except urllib.error.HTTPError as refused:
            with refused:
                return _answer(refused, time.monotonic() - began)

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET request."""
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Send a POST request."""
        return self.request("POST", path, body, **headers)

    def token(self, agent: str, **fields: Any) -> Answer:
        """Request a token in the format of LiveKit's client SDKs."""
        return self.post("/token", token_body(agent, **fields))

    def lists_agent(self, agent: str) -> bool:
        """Return whether the gateway lists the agent."""
        return agent in {found["name"] for found in self.get("/api/v1/agents").body}

    def events(self, name: str) -> Iterator[Json]:
        """Yield the data of a session's events until the stream ends."""
        with self._open("GET", f"/api/v1/sessions/{name}/events", None, ANSWER_SECONDS, {}) as response:
            for line in response:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    def _open(self, method: str, path: str, body: Any, seconds: float, headers: dict[str, str]) -> HTTPResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        all_headers = self._headers | {"Content-Type": "application/json"} | given
        request = urllib.request.Request(self.url + path, data, all_headers, method=method)  # noqa: S310  http only
        opened: HTTPResponse = urllib.request.urlopen(request, timeout=seconds)  # noqa: S310
        return opened


class Replica(Gateway):
    """Client of a gateway process on the host."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        super().__init__(url)
        self.process, self.log = process, log

    def is_ready(self) -> bool:
        """Return whether the process is ready; fail with its log if it ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False


def in_cluster(kube: Kube) -> Gateway:
    """Return a client of the release's gateway at a node's address."""
    nodes = kube.all("nodes")
    address = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
    return Gateway(f"http://{address}:{NODE_PORT}")


@contextmanager
def replica(kube: Kube, livekit: LiveKit, namespace: str, folder: Path, **settings: str) -> Iterator[Replica]:
    """Start a gateway on the host for the sessions of one namespace; yield its client when it is ready.

    The settings are environment variables; authentication is off by default.
    """
    port, number = _free_port(), len(list(folder.glob("gateway-*.log")))
    log, kubeconfig = folder / f"gateway-{number}.log", folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(kube.run("config", "view", "--minify", "--flatten", "--raw"))
    environment = {
        "PATH": os.environ["PATH"],
        "NAMESPACE": namespace,
        "KUBECONFIG": str(kubeconfig),
        "LIVEKIT_PUBLIC_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.key.key,
        "LIVEKIT_API_SECRET": livekit.key.secret,
        "AUTH_MODE": "none",
        "HTTP_PORT": str(port),
        "METRICS_PORT": "0",
        "READY_SECONDS": str(ANSWER_SECONDS),
        **settings,
    }
    command = [sys.executable, "-m", "voicesession_gateway"]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        made = Replica(process, f"http://127.0.0.1:{port}", log)
        try:
            until(made.is_ready, "the gateway is ready", UP_SECONDS)
            yield made
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def agent(name: str, namespace: str, limits: dict[str, int] | None = None, **env: str) -> Json:
    """Return a fake agent for sessions of a gateway, by default with limits that no busy machine reaches."""
    document = manifests.fake_agent(name, namespace, **env)
    on_last_human_left = {"graceSeconds": 1, "reconnectGraceSeconds": 2}
    given = {"startSeconds": 180, "joinSeconds": 600} | (limits or {})
    return {**document, "spec": {**document["spec"], "limits": given, "onLastHumanLeft": on_last_human_left}}


def token_body(agent: str, **fields: Any) -> Json:
    """Return a TokenSourceRequest in the format of LiveKit's SDKs."""
    return {"room_config": {"agents": [{"agent_name": agent}]}, **fields}


def request_concurrently(requests: list[tuple[Gateway, Json]]) -> list[Answer]:
    """Send all token requests at the same time; return the answers in the order of the requests."""
    return asyncio.run(_send_all(requests))


async def _send_all(requests: list[tuple[Gateway, Json]]) -> list[Answer]:
    limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limit) as client:

        async def one(url: str, body: Json) -> Answer:
            began = time.monotonic()
            async with client.post(f"{url}/token", json=body) as response:
                answer = await response.json()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, answer, headers, time.monotonic() - began)

        return list(await asyncio.gather(*(one(gateway.url, body) for gateway, body in requests)))


def _answer(response: Any, seconds: float) -> Answer:
    text = response.read()
    headers = {name.lower(): value for name, value in response.headers.items()}
    is_json = headers.get("content-type", "").startswith("application/json")
    return Answer(response.status, json.loads(text) if is_json else None, headers, seconds)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def local() -> Gateway:
    """Return a client of the release's gateway at the host port that kind maps."""
    return Gateway("http://localhost:9000")


def service_account() -> str:
    """Return the name of the gateway's ServiceAccount for `kubectl --as`."""
    return f"system:serviceaccount:{constants.NAMESPACE}:{constants.RELEASE}-gateway"
