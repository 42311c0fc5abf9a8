"""The way of spans to a collector, by OTLP over HTTP: in batches, by their own thread, lost rather than waited for."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF

PATH: Final = "/v1/traces"
"""Of the OTLP specification, below the endpoint."""
SEND_SECONDS: Final = 3.0
BATCH_MILLISECONDS: Final = 2000
BATCH_SPANS: Final = 256
QUEUE_SPANS: Final = 1024
log = logging.getLogger(__name__)


class LossLoggingExporter(SpanExporter):
    """Says once that spans are lost, and once that they are not; the exporter itself would say it for every batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("spans are lost: the collector does not take them", extra={"event": "spans_lost"})
        elif self._failing and not failing:
            log.info("the collector takes spans again", extra={"event": "spans_taken"})
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def connect(endpoint: str, facts: Mapping[str, str]) -> TracerProvider:
    """No trace begins here: what is kept was decided where it did."""
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
