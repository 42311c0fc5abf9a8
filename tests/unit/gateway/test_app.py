"""Settings, page, metrics, start and shutdown of a replica."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from voicesession_common.bounds import Rate
from voicesession_common.tracing import Tracing
from voicesession_gateway import app, metrics
from voicesession_gateway.admission import Quota
from voicesession_gateway.app import Gateway, GatewayTimings
from voicesession_gateway.errors import STATUS, ErrorCode
from voicesession_gateway.settings import GatewaySettings, SettingsError

from tests.support.fakes import api_server
from tests.support.fakes.api_server import FakeApiServer
from tests.support.gateway_client import call_api, request_token, until
from tests.unit.gateway.conftest import ENVIRONMENT, Start

NEEDED = {
    "NAMESPACE": "voice",
    "LIVEKIT_PUBLIC_URL": "wss://livekit.example",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a secret that nobody may see",
    "KEYS_DIR": "/keys",
}


def test_settings_defaults_apply() -> None:
    settings = GatewaySettings.from_env(NEEDED)
    assert (settings.auth, settings.http_port, settings.metrics_port, settings.ready_seconds) == (
        "keys",
        9000,
        9001,
        120,
    )
    assert (settings.caller_rate, settings.user_rate, settings.quota) == (Rate(10, 50), Rate(1, 10), Quota(50, 3))
    assert (settings.cors_origins, settings.page_dir, settings.default_agent, settings.token_seconds) == (
        (),
        "",
        "",
        300,
    )


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_settings_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"^{missing} is not set$"):
        GatewaySettings.from_env({**NEEDED, missing: " "})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AUTH_MODE", "open", "AUTH_MODE must be one of none, keys, oidc"),
        ("AUTH_MODE", "oidc", "OIDC_ISSUER is not set"),
        ("USER_SESSIONS", "-1", "USER_SESSIONS must be between 0"),
        ("CALLER_BURST", "0", "CALLER_BURST must be between 1"),
        ("TOKEN_SECONDS", "soon", "TOKEN_SECONDS must be a number"),
    ],
)
def test_settings_invalid_variable_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GatewaySettings.from_env({**NEEDED, name: value})


def test_settings_repr_hides_secrets() -> None:
    assert "nobody may see" not in repr(GatewaySettings.from_env(NEEDED))


async def test_page_and_configuration_are_served(start: Start, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>voice</title>")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "page.js").write_text("export {}")
    client = await start(PAGE_DIR=str(tmp_path), DEFAULT_AGENT="agent-66", READY_SECONDS="90")
    index, script, config = [await call_api(client, "GET", path) for path in ("/", "/assets/page.js", "/config.json")]
    assert (index.status, script.status) == (200, 200)
    assert "<title>voice</title>" in index.body
    assert config.body == {
        "tokenEndpoint": "/token",
        "agentsEndpoint": "/api/v1/agents",
        "sessionsEndpoint": "/api/v1/sessions",
        "auth": "none",
        "defaultAgent": "agent-66",
        "readySeconds": 90,
    }
    policy = index.headers["Content-Security-Policy"]
    assert "connect-src 'self' wss://livekit.example https://livekit.example;" in policy
    assert "unsafe" not in policy
    assert index.headers["Cache-Control"] == "no-cache"
    assert (await call_api(client, "GET", "/../secret")).status == 404
    assert (await call_api(client, "GET", "/assets")).status == 404


async def test_api_without_page_is_served(start: Start) -> None:
    client = await start(PAGE_DIR="/nowhere")
    answer = await call_api(client, "GET", "/")
    assert (answer.status, answer.code) == (404, "NotFound")
    assert (await call_api(client, "GET", "/api/v1/agents")).status == 200


async def test_metrics_count_requests_and_errors_with_bounded_labels(start: Start) -> None:
    client = await start()
    labels = {"method": "POST", "route": "/token", "code": "404"}
    before = metrics.REGISTRY.get_sample_value("voicesession_gateway_requests_total", labels) or 0
    refused = metrics.REGISTRY.get_sample_value("voicesession_gateway_errors_total", {"kind": "UnknownAgent"}) or 0
    await request_token(client, {"room_config": {"agents": [{"agent_name": "nobody"}]}})
    for path in ("/a", "/b/c", "/api/v1/sessions/x", "/api/v1/sessions/y/events"):
        await call_api(client, "GET", path)
    await call_api(client, "BREW", "/token")
    assert metrics.REGISTRY.get_sample_value("voicesession_gateway_requests_total", labels) == before + 1
    after = metrics.REGISTRY.get_sample_value("voicesession_gateway_errors_total", {"kind": "UnknownAgent"})
    assert after == refused + 1
    text = metrics.render().decode()
    assert 'route="/api/v1/sessions/{name}"' in text
    assert "BREW" not in text
    assert "/readyz" not in text
    assert 'route="/b/c"' not in text
    assert all(f'kind="{kind}"' in text for kind in ErrorCode)


def test_metrics_before_first_request_have_token_series() -> None:
    program = "from voicesession_gateway import metrics; print(metrics.render().decode())"
    text = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for status in (201, *STATUS.values()):
        assert f'requests_total{{code="{status}",method="POST",route="/token"}} 0.0' in text
    assert 'voicesession_gateway_request_seconds_count{method="POST",route="/token"} 0.0' in text
    for how in metrics.SessionSource:
        assert f'voicesession_gateway_ready_seconds_count{{how="{how}"}} 0.0' in text


async def test_internal_error_response_hides_details(api: FakeApiServer, start: Start) -> None:
    client = await start()
    api.refuse["post-all"] = lambda: web.json_response({"metadata": {}}, status=201)
    answer = await request_token(client)
    assert (answer.status, answer.code) == (500, "Internal")
    assert "resourceVersion" not in answer.body["error"]["message"]


async def test_gateway_after_sigterm_stops(api: FakeApiServer) -> None:
    async with api_server.serving(api) as url, api_server.client(url) as kube, ClientSession() as client:
        settings = GatewaySettings.from_env(ENVIRONMENT | {"HTTP_PORT": "0", "METRICS_PORT": "0"})
        gateway = Gateway(settings, kube, Tracing(), GatewayTimings(endpoint_removal_seconds=0.1))
        running = asyncio.create_task(gateway.run())
        await until(lambda: bool(gateway.ports))
        public_port, metrics_port = gateway.ports
        async with client.get(f"http://127.0.0.1:{metrics_port}/metrics") as response:
            assert "voicesession_gateway_live_sessions" in await response.text()
        async with client.get(f"http://127.0.0.1:{public_port}/healthz") as response:
            assert response.status == 200
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(running, 30) == 0


def test_main_with_invalid_settings_prints_single_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NAMESPACE", raising=False)
    assert app.main() == app.INVALID_SETTINGS
    assert capsys.readouterr().err == "voicesession-gateway: NAMESPACE is not set\n"
