"""A replica that waits for the Lease: its composition, probes and shutdown."""

import asyncio
import json
import signal
from pathlib import Path

import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_operator.app import EXIT_INVALID_SETTINGS, main, serve
from voicesession_operator.settings import OperatorSettings

from tests.support.async_polling import until
from tests.unit.operator.test_settings import REQUIRED

KUBECONFIG = {
    "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
    "users": [{"name": "nobody", "user": {}}],
    "current-context": "nowhere",
}
"""The port `discard`, without a listener."""
DEADLINE = 30.0


async def test_replica_without_lease_is_healthy_unready_and_stops_at_sigterm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    settings = OperatorSettings.from_env(REQUIRED | {"KUBECONFIG": str(tmp_path / "kubeconfig"), "HTTP_PORT": "0"})
    running = asyncio.create_task(serve(settings, Ed25519PrivateKey.generate()))
    ports: list[int] = []

    def is_listening() -> bool:
        ports[:] = [vars(record)["port"] for record in caplog.records if record.getMessage() == "listening"]
        return bool(ports)

    await until(is_listening)
    async with ClientSession(f"http://127.0.0.1:{ports[0]}") as client:
        for path, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
            async with client.get(path) as response:
                assert response.status == status, path
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running, DEADLINE) == 0


def test_main_with_invalid_settings_prints_single_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POD_NAME", raising=False)
    monkeypatch.setenv("LIVEKIT_URL", "ws://livekit:7880")
    assert main() == EXIT_INVALID_SETTINGS
    assert capsys.readouterr().err == "voicesession-operator: POD_NAME is not set\n"
