"""OpenTelemetry spans: disabled without a collector address, and never blocking.

Most spans are written after their end, when all times are known, so that none is kept open. Spans contain ids, reasons
and the project's own names, durations and outcomes; never speech, names of users or secrets.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from voicesession_common.otlp import SpanExport

FLUSH_SECONDS: Final = 2.0
"""Time limit for sending the last spans when a program ends."""
ERROR_TYPE: Final = "error.type"
_HEADER: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()


def read_traceparent(text: str) -> SpanContext:
    """Parse a W3C `traceparent`; malformed text gives a context with `is_valid` False."""
    return trace.get_current_span(_W3C.extract({_HEADER: text})).get_span_context()


def write_traceparent(context: SpanContext) -> str:
    """Return the context as a W3C `traceparent`; empty for an invalid context."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, _child_context(context))
    return carrier.get(_HEADER, "")


class Tracing:
    """The spans of one program. Without an export, no span is written."""

    def __init__(self, export: "SpanExport | None" = None) -> None:
        self._export = export
        self._tracer = trace.NoOpTracer() if export is None else export.provider.get_tracer("voicesession")

    @classmethod
    def connect(cls, service: str, instance: str, endpoint: str, ratio: float) -> Self:
        """Export to the collector at `endpoint` (OTLP over HTTP, without `/v1/traces`); empty disables tracing.

        `ratio` is the share of sampled traces that start here; traces from elsewhere keep their sampling decision.
        """
        if not endpoint:
            return cls()
        from voicesession_common import otlp  # noqa: PLC0415 - takes 0.1 s, needed only with tracing

        return cls(otlp.connect(service, instance, endpoint, ratio))

    @property
    def enabled(self) -> bool:
        """Return True if spans are exported."""
        return self._export is not None

    def is_sampled(self, trace_id: int) -> bool:
        """Return True if a new trace with this id is exported."""
        return self._export is not None and self._export.is_sampled(trace_id)

    @contextmanager
    def root_span(self, name: str) -> Iterator[SpanContext]:
        """Write the block as the first span of a new trace; yield its context, which is invalid without tracing."""
        span = self._tracer.start_span(name, Context())
        try:
            yield span.get_span_context()
        except BaseException as error:
            _set_error(span, type(error).__name__)
            raise
        finally:
            span.end()

    def write(
        self,
        name: str,
        begin: float,
        end: float,
        *,
        parent: SpanContext,
        context: SpanContext | None = None,
        error: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Write a span that has ended, with times in Unix seconds.

        Pass `context` when the span's ids are already known to other processes. `error` marks the span as failed.
        """
        if self._export is None:
            return
        with self._export.preset_context(context):
            span = self._tracer.start_span(name, _child_context(parent), attributes=attributes, start_time=_ns(begin))
        if error:
            _set_error(span, error)
        span.end(_ns(max(begin, end)))

    async def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send the remaining spans within `seconds`; later spans are lost."""
        if self._export is None:
            return
        # The program's end would wait for a thread of the event loop without a limit.
        flushing = threading.Thread(target=self._export.provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, seconds)


def _child_context(parent: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def _set_error(span: Span, error: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute(ERROR_TYPE, error)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
