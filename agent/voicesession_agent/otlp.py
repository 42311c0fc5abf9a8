"""Export of spans to a collector, by OTLP over HTTP, in batches and in a separate thread.

Spans are dropped if the collector is slow or unavailable; no caller waits for it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF

PATH: Final = "/v1/traces"
"""Path below the endpoint, from the OTLP specification."""
SEND_SECONDS: Final = 3.0
BATCH_MILLISECONDS: Final = 2000
BATCH_SPANS: Final = 256
QUEUE_SPANS: Final = 1024
log = logging.getLogger(__name__)


class LossLoggingExporter(SpanExporter):
    """Span exporter that logs the start and the end of an outage; its inner exporter would log every batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch, and log a change of the collector's availability."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("spans are lost: the collector does not take them", extra={"event": "spans_lost"})
        elif self._failing and not failing:
            log.info("the collector takes spans again", extra={"event": "spans_taken"})
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Shut down the inner exporter."""
        self._exporter.shutdown()


def connect(endpoint: str, facts: Mapping[str, str]) -> TracerProvider:
    """Create a tracer provider that exports to `endpoint`.

    It never samples a root span: the component that starts a trace decides about sampling.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider = TracerProvider(sampler=DEFAULT_OFF, resource=Resource(facts), shutdown_on_exit=False)
    exporter = LossLoggingExporter(OTLPSpanExporter(endpoint.rstrip("/") + PATH, timeout=SEND_SECONDS))
    processor = BatchSpanProcessor(
        exporter,
        max_queue_size=QUEUE_SPANS,
        schedule_delay_millis=BATCH_MILLISECONDS,
        max_export_batch_size=BATCH_SPANS,
    )
    provider.add_span_processor(processor)
    return provider
