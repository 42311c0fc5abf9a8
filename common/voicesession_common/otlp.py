"""Export of spans to a collector by OTLP over HTTP, in batches from a separate thread. A slow collector loses spans."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext

PATH: Final = "/v1/traces"
"""Path below the endpoint, from the OTLP specification."""
SEND_SECONDS: Final = 3.0
BATCH_MILLISECONDS: Final = 2000
BATCH_SPANS: Final = 256
QUEUE_SPANS: Final = 2048
log = logging.getLogger(__name__)


class PresetIdGenerator(RandomIdGenerator):
    """A generator of random ids, or of preset ids for a span whose context is known before it is written."""

    context: SpanContext | None = None

    def generate_trace_id(self) -> int:
        """Return the preset trace id, or a random one."""
        return super().generate_trace_id() if self.context is None else self.context.trace_id

    def generate_span_id(self) -> int:
        """Return the preset span id, or a random one."""
        return super().generate_span_id() if self.context is None else self.context.span_id

    def is_trace_id_random(self) -> bool:
        """Return the W3C random flag of the trace id."""
        return self.context is None or self.context.trace_flags.random_trace_id


class OutageLoggingExporter(SpanExporter):
    """An exporter that logs the start and the end of an outage once; the wrapped exporter would log every batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch, and log if an outage starts or ends with it."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("spans are lost: the collector does not take them")
        elif self._failing and not failing:
            log.info("the collector takes spans again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Shut the wrapped exporter down."""
        self._exporter.shutdown()


class SpanExport:
    """A private tracer provider. It is not the global default, because spans of libraries can contain speech."""

    def __init__(self, resource: Resource, processor: SpanProcessor, ratio: float) -> None:
        self._ids = PresetIdGenerator()
        self._sampler = TraceIdRatioBased(ratio)
        self.provider = TracerProvider(
            sampler=ParentBased(self._sampler), resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self.provider.add_span_processor(processor)

    def is_sampled(self, trace_id: int) -> bool:
        """Return True if a new trace with this id is sampled."""
        return self._sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    @contextmanager
    def preset_context(self, context: SpanContext | None) -> Iterator[None]:
        """Use the ids of `context` for a span started inside the block."""
        self._ids.context = context
        try:
            yield
        finally:
            self._ids.context = None


def connect(service: str, instance: str, endpoint: str, ratio: float) -> SpanExport:
    """Return an export to the collector at `endpoint`. Nothing is sent before the first span is written."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OutageLoggingExporter(OTLPSpanExporter(endpoint.rstrip("/") + PATH, timeout=SEND_SECONDS))
    processor = BatchSpanProcessor(
        exporter,
        max_queue_size=QUEUE_SPANS,
        schedule_delay_millis=BATCH_MILLISECONDS,
        max_export_batch_size=BATCH_SPANS,
    )
    return SpanExport(Resource({"service.name": service, "service.instance.id": instance}), processor, ratio)
