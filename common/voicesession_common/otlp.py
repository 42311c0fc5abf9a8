"""The way of spans to a collector, by OTLP over HTTP: in batches, by their own thread, lost rather than waited for."""

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
"""Of the OTLP specification, below the endpoint."""
SEND_SECONDS: Final = 3.0
BATCH_MILLISECONDS: Final = 2000
BATCH_SPANS: Final = 256
QUEUE_SPANS: Final = 2048
log = logging.getLogger(__name__)


class PlacedIds(RandomIdGenerator):
    """Random ids, except for a span whose place in its trace is known before it is written."""

    place: SpanContext | None = None

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.place is None else self.place.trace_id

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self.place is None else self.place.span_id

    def is_trace_id_random(self) -> bool:
        return self.place is None or self.place.trace_flags.random_trace_id


class Outages(SpanExporter):
    """Says once that spans are lost, and once that they are not; the exporter itself would say it for every batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("spans are lost: the collector does not take them")
        elif self._failing and not failing:
            log.info("the collector takes spans again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Export:
    """A provider of our own, set as nobody's default: spans that libraries would write can hold what people say."""

    def __init__(self, resource: Resource, processor: SpanProcessor, ratio: float) -> None:
        self._ids = PlacedIds()
        self._sampler = TraceIdRatioBased(ratio)
        self.provider = TracerProvider(
            sampler=ParentBased(self._sampler), resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self.provider.add_span_processor(processor)

    def keeps(self, trace_id: int) -> bool:
        return self._sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    @contextmanager
    def placed(self, place: SpanContext | None) -> Iterator[None]:
        """The span that is begun meanwhile stands there."""
        self._ids.place = place
        try:
            yield
        finally:
            self._ids.place = None


def connect(service: str, instance: str, endpoint: str, ratio: float) -> Export:
    """Nothing is sent before there is a span; the collector may be away at any time."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = Outages(OTLPSpanExporter(endpoint.rstrip("/") + PATH, timeout=SEND_SECONDS))
    processor = BatchSpanProcessor(
        exporter,
        max_queue_size=QUEUE_SPANS,
        schedule_delay_millis=BATCH_MILLISECONDS,
        max_export_batch_size=BATCH_SPANS,
    )
    return Export(Resource({"service.name": service, "service.instance.id": instance}), processor, ratio)
