"""The agent's way to a collector: in nobody's way, and for no spans but ours."""

import logging
import time

import pytest
from livekit.agents.telemetry import tracer as livekit_tracer
from opentelemetry.trace import SpanContext, TraceFlags
from voicesession_agent.tracing import NO_SPAN, AgentTracing

NOBODY = "http://127.0.0.1:9"
"""The port `discard`, where nothing listens."""
PARENT = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


async def test_without_an_address_nothing_is_written() -> None:
    tracing = AgentTracing()
    tracing.connect("", "pod-1", "agent-66")
    assert tracing.write("job", 1.0, 2.0, parent=PARENT) is NO_SPAN
    await tracing.close(0.1)


async def test_a_collector_that_is_away_costs_no_time_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    tracing = AgentTracing()
    tracing.connect(NOBODY, "pod-1", "agent-66")
    began = time.monotonic()
    for _ in range(2000):
        assert tracing.write("job", 1.0, 2.0, parent=PARENT).trace_id == PARENT.trace_id
    await tracing.close(0.3)
    assert time.monotonic() - began < 5
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned in ([], ["spans are lost: the collector does not take them"])


def test_livekits_own_spans_that_hold_words_go_nowhere() -> None:
    AgentTracing().connect(NOBODY, "pod-1", "agent-66")
    with livekit_tracer.start_as_current_span("user_turn") as span:
        assert not span.is_recording()
