"""A collector that stores spans: `POST /v1/traces` (OTLP over HTTP) receives them, `GET /spans` returns JSON.

It needs opentelemetry-proto and no other module of the project, so that it also runs in the operator's image.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PORT = 4318
"""The port of OTLP over HTTP."""


class SpanStore:
    """The received spans in order of arrival, and the HTTP server that receives them."""

    def __init__(self, host: str, port: int) -> None:
        self.spans: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer((host, port), _handler(self))

    def add(self, body: bytes) -> None:
        """Add the spans of an export request; raise google.protobuf.message.DecodeError if it is none."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource_attributes = _attributes(resource.resource)
            for scope in resource.scope_spans:
                self.spans += [_to_dict(span, resource_attributes) for span in scope.spans]


def _to_dict(span: Any, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "service": resource.get("service.name", ""),
        "name": span.name,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "begin": span.start_time_unix_nano / 1e9,
        "end": span.end_time_unix_nano / 1e9,
        "failed": span.status.code == span.status.STATUS_CODE_ERROR,
        "attributes": _attributes(span) | resource,
        "events": len(span.events),
    }


def _attributes(owner: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in owner.attributes}


def _handler(store: SpanStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            store.add(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(b"", "application/x-protobuf")

        def do_GET(self) -> None:
            self._answer(json.dumps(store.spans).encode(), "application/json")

        def log_message(self, format: str, *args: Any) -> None:
            return

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextmanager
def serving(host: str, port: int) -> Iterator[SpanStore]:
    """Run a collector while the block runs; port 0 chooses a free port."""
    store = SpanStore(host, port)
    thread = threading.Thread(target=store.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield store
    finally:
        store.server.shutdown()
        store.server.server_close()
        thread.join()


if __name__ == "__main__":
    SpanStore("", int(sys.argv[1])).server.serve_forever()
