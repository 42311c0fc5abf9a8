"""Spans of OpenTelemetry: off unless there is an address to send them to, and never waited for.

Most are written when all of their moments are known, so that nothing is kept open. A span tells what was done, for how
long and how it ended: ids, reasons and names of ours; never a person's words or name, nor a secret.
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

from voicesession_common.api.constants import TRACEPARENT_ANNOTATION

if TYPE_CHECKING:
    from voicesession_common.otlp import Export

FLUSH_SECONDS: Final = 2.0
"""How long an ending program waits for its last spans to be sent."""
TOKEN_REQUEST: Final = "token request"  # noqa: S105 - a span's name
ERROR_TYPE: Final = "error.type"
_HEADER: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()


def read_traceparent(text: str) -> SpanContext:
    """W3C's `traceparent`; what is malformed is no place in any trace (`is_valid` is False)."""
    return trace.get_current_span(_W3C.extract({_HEADER: text})).get_span_context()


def write_traceparent(place: SpanContext) -> str:
    """The reverse; empty for no place."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, _below(place))
    return carrier.get(_HEADER, "")


class Tracing:
    """One program's spans. Made without an export, it writes none."""

    def __init__(self, export: "Export | None" = None) -> None:
        self._export = export
        self._tracer = trace.NoOpTracer() if export is None else export.provider.get_tracer("voicesession")

    @classmethod
    def connect(cls, service: str, instance: str, endpoint: str, ratio: float) -> Self:
        """To the collector at `endpoint` (OTLP over HTTP, without `/v1/traces`); an empty one turns tracing off.

        `ratio` of all traces that begin here are kept; those that began elsewhere are as was decided there.
        """
        if not endpoint:
            return cls()
        from voicesession_common import otlp  # noqa: PLC0415 - 0.1 s of imports, for whoever wants it

        return cls(otlp.connect(service, instance, endpoint, ratio))

    @property
    def on(self) -> bool:
        return self._export is not None

    def keeps(self, trace_id: int) -> bool:
        """Whether a trace of that id, if it begins here, is among those that are kept."""
        return self._export is not None and self._export.keeps(trace_id)

    @contextmanager
    def token_request(self) -> Iterator[dict[str, str]]:
        """A span around the making of a session, and the root of its trace; yields the annotations the session gets."""
        if not self.on:
            yield {}
            return
        span = self._tracer.start_span(TOKEN_REQUEST, Context())
        try:
            yield {TRACEPARENT_ANNOTATION: write_traceparent(span.get_span_context())}
        except BaseException as error:
            _fail(span, type(error).__name__)
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
        place: SpanContext | None = None,
        error: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """A span that is over, in Unix seconds. `place` is its own where others know it already; `error`: it failed."""
        if self._export is None:
            return
        with self._export.placed(place):
            span = self._tracer.start_span(name, _below(parent), attributes=attributes, start_time=_ns(begin))
        if error:
            _fail(span, error)
        span.end(_ns(max(begin, end)))

    async def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what is left, for so long at most; what could not be sent by then is lost."""
        if self._export is None:
            return
        # A thread of the loop's own would be waited for at the end of the program, however long it takes.
        flushing = threading.Thread(target=self._export.provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, seconds)


def _below(parent: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def _fail(span: Span, error: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute(ERROR_TYPE, error)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
