"""OpenTelemetry spans of the agent pod: off without an endpoint, and exported without blocking a caller.

The tracer provider is never the global default: livekit-agents would write spans that contain speech.
"""

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVICE: Final = "voicesession-agent"
NO_SPAN: Final = trace.INVALID_SPAN_CONTEXT
_W3C: Final = TraceContextTextMapPropagator()


def read_traceparent(text: str) -> SpanContext:
    """Parse a W3C `traceparent`. Return a context whose `is_valid` is False if it is malformed."""
    return trace.get_current_span(_W3C.extract({"traceparent": text})).get_span_context()


class AgentTracing:
    """Writer of this process's spans; it writes none before `connect`."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider

    def connect(self, endpoint: str, instance: str, agent: str) -> None:
        """Send spans to the collector at `endpoint` (OTLP over HTTP, without `/v1/traces`); do nothing if it is empty.

        Imports block for about 0.1 s. No connection is opened.
        """
        if endpoint:
            from voicesession_agent import otlp  # noqa: PLC0415 - imported only if tracing is on

            facts = {"service.name": SERVICE, "service.instance.id": instance, "voicesession.agent": agent}
            self._provider = otlp.connect(endpoint, facts)

    def write(
        self,
        name: str,
        begin: float,
        end: float,
        *,
        parent: SpanContext,
        error: str = "",
        attributes: Mapping[str, str | int] | None = None,
    ) -> SpanContext:
        """Write a finished span, with times in Unix seconds.

        Return its context, or NO_SPAN if tracing is off or the parent is not sampled.
        """
        if self._provider is None or not parent.trace_flags.sampled:
            return NO_SPAN
        below = trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
        tracer = self._provider.get_tracer("voicesession")
        span = tracer.start_span(name, below, attributes=attributes, start_time=_ns(begin))
        if error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", error)
        span.end(_ns(max(begin, end)))
        return span.get_span_context()

    async def close(self, seconds: float) -> None:
        """Flush the remaining spans for at most `seconds`; spans not sent by then are lost."""
        if self._provider is None:
            return
        # The process would wait at its end for a thread of the event loop's own executor, without a limit.
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, seconds)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
