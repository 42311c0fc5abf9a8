"""The agent's metrics: on a port of their own, documented, and there before the first event."""

import pytest
from aiohttp.test_utils import TestClient, TestServer
from voicesession_agent.metrics import Metrics, scraped


async def test_the_port_has_metrics_and_nothing_else() -> None:
    metrics = Metrics()
    metrics.launches.inc()
    async with TestClient(TestServer(scraped(metrics))) as client:
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
    ],
)
def test_what_alerts_count_is_there_before_it_happens(series: str) -> None:
    assert series in Metrics().render().decode().splitlines()


def test_every_metric_says_in_a_sentence_what_it_is() -> None:
    for family in Metrics().registry.collect():
        assert family.name.startswith("voicesession_")
        assert family.documentation[0].isupper() or family.documentation[0].isdigit(), family.name
        assert family.documentation.endswith("."), family.name
        assert not [sample for sample in family.samples if sample.name.endswith("_created")]
