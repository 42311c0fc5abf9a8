"""Spans of OpenTelemetry: off unless there is an address to send them to, and never waited for.

The provider is our own and nobody's default: livekit-agents would write spans that hold what people say.
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
    """W3C's `traceparent`; what is malformed is no place in any trace (`is_valid` is False)."""
    return trace.get_current_span(_W3C.extract({"traceparent": text})).get_span_context()


class AgentTracing:
    """This process's spans; none before `connect`."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider

    def connect(self, endpoint: str, instance: str, agent: str) -> None:
        """To the collector at `endpoint` (OTLP over HTTP, without `/v1/traces`); an empty one leaves tracing off.

        Blocks for some 0.1 s of imports; the network is not touched.
        """
        if endpoint:
            from voicesession_agent import otlp  # noqa: PLC0415 - only for whoever wants it

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
        """A span that is over, in Unix seconds, and its place; NO_SPAN below a parent that is not kept."""
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
        """Send what is left, for so long at most; what could not be sent by then is lost."""
        if self._provider is None:
            return
        # A thread of the loop's own would be waited for at the end of the process, however long it takes.
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, seconds)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
