"""The operator as a process on this machine, connected to the cluster through the fault proxy."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.cluster.manifests import FAKE_IMAGE
from tests.support.cluster.operator_pods import parse_metrics
from tests.support.cluster.rooms import LiveKit

STOP_SECONDS = 40
"""Time for drain, end of the watch and release of the lease on a busy machine."""


class HostOperator:
    """A running process; its log is in `log`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.process = process
        self.log = log
        self.url = f"http://127.0.0.1:{port}"

    async def ready(self) -> bool:
        """Return whether the operator leads and has listed all objects once."""
        assert self.process.returncode is None, self.log.read_text()
        try:
            async with aiohttp.ClientSession() as client, client.get(f"{self.url}/readyz") as answer:
                return answer.status == 200 and (await self.metrics())["voicesession_leader"] == 1
        except aiohttp.ClientError:
            return False

    async def metrics(self) -> dict[str, float]:
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/metrics") as answer:
            return parse_metrics(await answer.text())

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS)


@asynccontextmanager
async def running(
    proxy_url: str,
    livekit: LiveKit,
    namespaces: tuple[str, ...],
    directory: Path,
    lease_seconds: int = 60,
    changes: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[HostOperator]:
    """Run an operator in the first namespace that watches only these ones; kill it at the end if needed.

    Its installation ID is its own. `changes` are added to the environment, or replace parts of it.
    """
    namespace = namespaces[0]
    kubeconfig, log, port = directory / "kubeconfig", directory / "operator.log", _free_port()
    kubeconfig.write_text(json.dumps(_kubeconfig(proxy_url)))
    environment = {
        "POD_NAME": "host-operator",
        "POD_UID": "no-pod",
        "POD_NAMESPACE": namespace,
        "RELEASE": "host",
        "INSTALLATION_ID": f"host-{namespace}",
        "WATCH_NAMESPACES": ",".join(namespaces),
        "KUBECONFIG": str(kubeconfig),
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.key.key,
        "LIVEKIT_API_SECRET": livekit.key.secret,
        "CONTROL_PRIVATE_KEY": _private_key(),
        "AGENT_IMAGE": FAKE_IMAGE,
        "HTTP_PORT": str(port),
        "LEASE_DURATION_SECONDS": str(lease_seconds),
        **changes,
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "voicesession_operator", env=environment, stdout=output, stderr=output
        )
        try:
            yield HostOperator(process, port, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": server}}],
        "users": [{"name": "proxy", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    }


def _private_key() -> str:
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(*pem).decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
