"""A collector of spans that keeps them: `POST /v1/traces` as OTLP over HTTP has it, `GET /spans` as JSON.

Runs in any Python that has opentelemetry-proto, without the rest of this project: in the operator's image, too.
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
"""Of OTLP over HTTP."""


class Received:
    """The spans so far, in the order in which they came."""

    def __init__(self, host: str, port: int) -> None:
        self.spans: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer((host, port), _handler(self))

    def take(self, body: bytes) -> None:
        """Raises google.protobuf.message.DecodeError when it is no export of spans."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _words(resource.resource)
            for scope in resource.scope_spans:
                self.spans += [_told(span, about) for span in scope.spans]


def _told(span: Any, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "service": about.get("service.name", ""),
        "name": span.name,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "begin": span.start_time_unix_nano / 1e9,
        "end": span.end_time_unix_nano / 1e9,
        "failed": span.status.code == span.status.STATUS_CODE_ERROR,
        "attributes": _words(span) | about,
        "events": len(span.events),
    }


def _words(owner: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in owner.attributes}


def _handler(received: Received) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.take(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(b"", "application/x-protobuf")

        def do_GET(self) -> None:
            self._answer(json.dumps(received.spans).encode(), "application/json")

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
def serving(host: str, port: int) -> Iterator[Received]:
    """Until the block ends; port 0 is a free one."""
    received = Received(host, port)
    thread = threading.Thread(target=received.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        received.server.shutdown()
        received.server.server_close()
        thread.join()


if __name__ == "__main__":
    Received("", int(sys.argv[1])).server.serve_forever()
