"""Tracing of the agent pod: off by default, non-blocking, and without livekit-agents' own spans."""

import logging
import time

import pytest
from livekit.agents.telemetry import tracer as livekit_tracer
from opentelemetry.trace import SpanContext, TraceFlags
from voicesession_agent.tracing import NO_SPAN, AgentTracing

DISCARD_URL = "http://127.0.0.1:9"
"""The `discard` port, without a listener."""
PARENT = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


async def test_write_without_endpoint_returns_no_span() -> None:
    tracing = AgentTracing()
    tracing.connect("", "pod-1", "agent-66")
    assert tracing.write("job", 1.0, 2.0, parent=PARENT) is NO_SPAN
    await tracing.close(0.1)


async def test_unavailable_collector_blocks_no_caller_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    tracing = AgentTracing()
    tracing.connect(DISCARD_URL, "pod-1", "agent-66")
    began = time.monotonic()
    for _ in range(2000):
        assert tracing.write("job", 1.0, 2.0, parent=PARENT).trace_id == PARENT.trace_id
    await tracing.close(0.3)
    assert time.monotonic() - began < 30
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned in ([], ["spans are lost: the collector does not take them"])


def test_livekit_spans_are_not_recorded() -> None:
    AgentTracing().connect(DISCARD_URL, "pod-1", "agent-66")
    with livekit_tracer.start_as_current_span("user_turn") as span:
        assert not span.is_recording()
