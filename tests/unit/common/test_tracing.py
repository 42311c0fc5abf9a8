"""Spans of a program: disabled without an address, roots of new traces, and no delays."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode
from voicesession_common.otlp import SpanExport
from voicesession_common.tracing import Tracing, read_traceparent, write_traceparent

from tests.support.fakes.span_exporter import RecordedSpans, attributes, span_context
from tests.support.observability import otlp_receiver
from tests.support.observability.otlp_receiver import SpanStore

UNUSED_ADDRESS = "http://127.0.0.1:9"
"""The port `discard`, without a listener."""
LONG = 30.0


@pytest.fixture
def received() -> Iterator[SpanStore]:
    with otlp_receiver.serving("127.0.0.1", 0) as found:
        yield found


def address(received: SpanStore) -> str:
    server: ThreadingHTTPServer = received.server
    return f"http://127.0.0.1:{server.server_port}/"


def connect(endpoint: str) -> Tracing:
    return Tracing.connect("voicesession-operator", "operator-1", endpoint, 1.0)


def write(tracing: Tracing, name: str) -> None:
    now = time.time()
    with tracing.root_span("request") as parent:
        tracing.write(name, now - 1, now, parent=parent)


async def test_tracing_without_address_writes_no_spans() -> None:
    tracing = Tracing.connect("voicesession-operator", "operator-1", "", 1.0)
    assert (tracing.enabled, tracing.is_sampled(1)) == (False, False)
    with tracing.root_span("request") as context:
        assert write_traceparent(context) == ""
    write(tracing, "bound")
    await tracing.close()


def test_root_span_has_yielded_context_and_no_parent() -> None:
    kept = RecordedSpans()
    with kept.tracing.root_span("request") as context:
        assert kept.all == []
    request = kept.one("request")
    assert (request.parent, attributes(request)) == (None, {})
    assert read_traceparent(write_traceparent(context)).span_id == span_context(request).span_id


def test_failed_root_span_records_only_error_type() -> None:
    kept = RecordedSpans()
    with pytest.raises(KeyError), kept.tracing.root_span("request"):
        raise KeyError("alice")
    request = kept.one("request")
    assert (request.status.status_code, request.status.description) == (StatusCode.ERROR, None)
    assert (attributes(request), request.events) == ({"error.type": "KeyError"}, ())


async def test_close_sends_remaining_spans(received: SpanStore) -> None:
    tracing = connect(address(received))
    write(tracing, "bound")
    await tracing.close(LONG)
    child, request = received.spans
    assert (child["name"], request["name"]) == ("bound", "request")
    assert (child["trace"], child["parent"]) == (request["trace"], request["span"])
    assert (child["service"], round(child["end"] - child["begin"], 3)) == ("voicesession-operator", 1.0)


async def test_absent_collector_causes_no_delay_and_single_log_line(caplog: pytest.LogCaptureFixture) -> None:
    tracing = connect(UNUSED_ADDRESS)
    began = time.monotonic()
    for _ in range(3000):
        write(tracing, "bound")
    await tracing.close(0.3)
    assert time.monotonic() - began < LONG, "a write that waits for the collector takes up to 3 s"
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert set(warned) <= {"spans are lost: the collector does not take them"}
    assert len(warned) <= 1


class StuckProcessor(SpanProcessor):
    """A processor of spans whose shutdown waits for a silent collector."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.is_shut_down = False

    def shutdown(self) -> None:
        self.answered.wait(LONG)
        self.is_shut_down = True


async def test_close_does_not_wait_for_silent_collector() -> None:
    stuck = StuckProcessor()
    tracing = Tracing(SpanExport(Resource({}), stuck, 1.0))
    write(tracing, "bound")
    await tracing.close(0.01)
    assert not stuck.is_shut_down
    stuck.answered.set()


def test_connect_sets_no_global_tracer_provider() -> None:
    connect(UNUSED_ADDRESS)
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_receiver_spans_are_json(received: SpanStore) -> None:
    assert json.loads(json.dumps(received.spans)) == []
