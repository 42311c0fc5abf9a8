"""A whole replica that leads, loses the Lease, stands by and leads again, against a fake API server."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.api import constants
from voicesession_operator.app import serve
from voicesession_operator.settings import OperatorSettings

from tests.support import operator_objects
from tests.support.async_polling import until
from tests.support.cluster.operator_pods import parse_metrics
from tests.support.fakes.operator_api import OperatorApi
from tests.support.http_server import serving
from tests.unit.operator.test_settings import REQUIRED

DEADLINE = 60.0
POD = REQUIRED["POD_NAME"]


class Replica:
    """A running operator, seen through its HTTP server."""

    def __init__(self, task: "asyncio.Task[int]", port: int) -> None:
        self.task = task
        self._url = f"http://127.0.0.1:{port}"

    async def until(self, ready: int, leader: int, sessions: int) -> None:
        """Wait for the status of /readyz and for these values of the metrics."""
        async with asyncio.timeout(DEADLINE), ClientSession(self._url) as client:
            while True:
                assert not self.task.done()
                async with client.get("/readyz") as probe, client.get("/metrics") as scrape:
                    found = parse_metrics(await scrape.text())
                    if (probe.status, found["voicesession_leader"], found["voicesession_sessions"]) == (
                        ready,
                        leader,
                        sessions,
                    ):
                        return
                await asyncio.sleep(0.02)

    async def is_healthy(self) -> bool:
        async with ClientSession(self._url) as client, client.get("/healthz") as probe:
            return probe.status == 200


@asynccontextmanager
async def running(
    api: OperatorApi, folder: Path, caplog: pytest.LogCaptureFixture, lease_seconds: int = 8
) -> AsyncIterator[Replica]:
    """Run a replica with a finished session in its cluster."""
    caplog.set_level("INFO")
    finished = {"phase": "Finished", "finishedAt": "2999-01-01T00:00:00Z", "endReason": "Deleted"}
    api.sessions = [{**operator_objects.session(), "status": finished}]
    async with serving(api.handle) as server:
        (folder / "kubeconfig").write_text(json.dumps(_kubeconfig(str(server.make_url("")).rstrip("/"))))
        env = {
            "KUBECONFIG": str(folder / "kubeconfig"),
            "HTTP_PORT": "0",
            "LIVEKIT_URL": "ws://127.0.0.1:9",
            "LIVEKIT_API_SECRET": "s" * 32,
            "LEASE_DURATION_SECONDS": str(lease_seconds),
        }
        settings = OperatorSettings.from_env(REQUIRED | env)
        task = asyncio.create_task(serve(settings, Ed25519PrivateKey.generate()))
        try:
            yield Replica(task, await _port(task, caplog))
        finally:
            api.close()
            task.cancel()
            await asyncio.wait([task])


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": server}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }


async def _port(task: "asyncio.Task[int]", caplog: pytest.LogCaptureFixture) -> int:
    async with asyncio.timeout(DEADLINE):
        while True:
            assert not task.done()
            ports = [vars(r)["port"] for r in caplog.records if r.getMessage() == "listening"]
            if ports:
                return int(ports[0])
            await asyncio.sleep(0.02)


async def test_replica_without_the_lease_stands_by_and_leads_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = OperatorApi()
    async with running(api, tmp_path, caplog) as replica:
        await replica.until(ready=200, leader=1, sessions=1)
        await until(lambda: api.watches[constants.SESSIONS] == 1 and api.labeled)
        api.seize("another_pod_5")
        await replica.until(ready=200, leader=0, sessions=0)
        assert await replica.is_healthy()
        await until(lambda: not +api.watches and not api.labeled)
        assert not [task for task in asyncio.all_tasks() if task.get_name() in ("term", "hold")]
        api.seize("")
        await replica.until(ready=200, leader=1, sessions=1)
        await until(lambda: api.watches[constants.SESSIONS] == 1 and api.labeled)
        signal.raise_signal(signal.SIGTERM)
        assert await asyncio.wait_for(replica.task, DEADLINE) == 0
    assert api.holder == ""
    assert caplog.messages.count("this replica leads") == 2


async def test_sigterm_while_the_api_server_is_silent_ends_the_leader(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicesession_operator.leader_election.RELEASE_SECONDS", 0.05)
    api = OperatorApi()
    async with running(api, tmp_path, caplog, lease_seconds=300) as replica:
        await replica.until(ready=200, leader=1, sessions=1)
        api.silent = True
        signal.raise_signal(signal.SIGTERM)
        assert await asyncio.wait_for(replica.task, DEADLINE) == 0
    assert api.holder == POD
    assert "the lease could not be released" in caplog.messages
