"""The agent's metrics: their port, their help texts and their initial series."""

import time

import pytest
from aiohttp.test_utils import TestClient, TestServer
from voicesession_agent.metrics import Metrics, metrics_app, process_started_at


async def test_app_serves_metrics_only() -> None:
    metrics = Metrics()
    metrics.launches.inc()
    async with TestClient(TestServer(metrics_app(metrics))) as client:
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "voicesession_agent_job_launches_total 1.0" in await answer.text()
        for path in ("/v1/state", "/healthz", "/"):
            assert (await client.get(path)).status == 404


@pytest.mark.parametrize(
    "series",
    [
        'voicesession_agent_turns_lost_total{reason="overflow"} 0.0',
        'voicesession_agent_health_restarts_total{state="Stuck"} 0.0',
        'voicesession_agent_response_stage_seconds_count{stage="transcription"} 0.0',
        "voicesession_agent_response_seconds_count 0.0",
        'voicesession_agent_memory_edits_total{edit="remember",outcome="full"} 0.0',
        'voicesession_agent_memory_edits_total{edit="forget",outcome="missing"} 0.0',
    ],
)
def test_alerted_series_starts_at_zero(series: str) -> None:
    assert series in Metrics().render().decode().splitlines()


def test_metric_help_is_a_sentence() -> None:
    for family in Metrics().registry.collect():
        assert family.name.startswith("voicesession_")
        assert family.documentation[0].isupper() or family.documentation[0].isdigit(), family.name
        assert family.documentation.endswith("."), family.name
        assert not [sample for sample in family.samples if sample.name.endswith("_created")]


def test_process_start_is_in_the_past() -> None:
    assert process_started_at() < time.time() + 1
