"""All metrics of the gateway; every label takes values from a small fixed set."""

from enum import StrEnum
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from voicesession_gateway.errors import STATUS, ErrorCode

# The creation times of series have no use here and would make up a third of each scrape.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

REQUEST_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
READY_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)


class SessionSource(StrEnum):
    """Source of a request's session: created for the request, or joined."""

    CREATED = "created"
    JOINED = "joined"


class KubernetesCall(StrEnum):
    """Calls of the gateway to the API server."""

    WATCH = "watch"
    CREATE = "create"
    GET = "get"
    PATCH = "patch"
    DELETE = "delete"


REQUESTS: Final = Counter(
    "voicesession_gateway_requests_total", "HTTP requests.", ["method", "route", "code"], registry=REGISTRY
)
REQUEST_SECONDS: Final = Histogram(
    "voicesession_gateway_request_seconds",
    "Duration of requests, without event streams.",
    ["method", "route"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
ERRORS: Final = Counter("voicesession_gateway_errors_total", "Error responses.", ["kind"], registry=REGISTRY)
TOKENS: Final = Counter("voicesession_gateway_tokens_total", "Issued tokens.", ["how"], registry=REGISTRY)
READY_SECONDS: Final = Histogram(
    "voicesession_gateway_ready_seconds",
    "Time from a token request until its session is Ready, for requests that got a token.",
    ["how"],
    buckets=READY_BUCKETS,
    registry=REGISTRY,
)
CREATED: Final = Counter(
    "voicesession_gateway_sessions_created_total", "Sessions that this replica created.", registry=REGISTRY
)
WITHDRAWN: Final = Counter(
    "voicesession_gateway_sessions_withdrawn_total",
    "Sessions deleted directly after their creation because another replica's concurrent session came first.",
    registry=REGISTRY,
)
LIVE: Final = Gauge(
    "voicesession_gateway_live_sessions",
    "Live sessions of all gateways in this namespace, as known to this replica.",
    registry=REGISTRY,
)
WAITING: Final = Gauge(
    "voicesession_gateway_waiting_requests", "Token requests that wait for their session.", registry=REGISTRY
)
STREAMS: Final = Gauge("voicesession_gateway_event_streams", "Open event streams.", registry=REGISTRY)
KUBERNETES_ERRORS: Final = Counter(
    "voicesession_gateway_kubernetes_errors_total",
    "Failed requests to the API server, including watches.",
    ["call"],
    registry=REGISTRY,
)


def _initialize_series() -> None:
    """Create all series with the value 0.

    Prometheus sees no increase in a series that appears with its first event, so the first failure would raise no
    alert.
    """
    for code in ErrorCode:
        ERRORS.labels(code.value)
    for source in SessionSource:
        TOKENS.labels(source.value)
        READY_SECONDS.labels(source.value)
    for call in KubernetesCall:
        KUBERNETES_ERRORS.labels(call.value)
    for status in (201, *STATUS.values()):
        REQUESTS.labels("POST", "/token", str(status))
    REQUEST_SECONDS.labels("POST", "/token")


_initialize_series()


def render() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
