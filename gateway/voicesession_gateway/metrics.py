"""Every metric of the gateway in one place; each label takes values from a small fixed set."""

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

from voicesession_gateway.errors import STATUS, Kind

# When a series began is of no use to anybody, and would be a third of all that is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

ANSWER_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
READY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)


class How(StrEnum):
    """How a token request came to its session."""

    CREATED = "created"
    JOINED = "joined"


REQUESTS: Final = Counter(
    "voicesession_gateway_requests_total", "Answered requests.", ["method", "route", "code"], registry=REGISTRY
)
REQUEST_SECONDS: Final = Histogram(
    "voicesession_gateway_request_seconds",
    "Until a request was answered; event streams are left out.",
    ["method", "route"],
    buckets=ANSWER_SECONDS,
    registry=REGISTRY,
)
REFUSALS: Final = Counter(
    "voicesession_gateway_errors_total", "Requests that did not get what they asked for.", ["kind"], registry=REGISTRY
)
TOKENS: Final = Counter("voicesession_gateway_tokens_total", "Tokens handed out.", ["how"], registry=REGISTRY)
WAIT_SECONDS: Final = Histogram(
    "voicesession_gateway_ready_seconds",
    "From a token request until its session was Ready, of those that got a token.",
    ["how"],
    buckets=READY_SECONDS,
    registry=REGISTRY,
)
CREATED: Final = Counter(
    "voicesession_gateway_sessions_created_total", "Sessions that this replica made.", registry=REGISTRY
)
WITHDRAWN: Final = Counter(
    "voicesession_gateway_sessions_withdrawn_total",
    "Sessions deleted at once, because one that another replica made at the same moment came first.",
    registry=REGISTRY,
)
LIVE: Final = Gauge(
    "voicesession_gateway_live_sessions",
    "Live sessions of all gateways in this namespace, as this replica knows them.",
    registry=REGISTRY,
)
WAITING: Final = Gauge(
    "voicesession_gateway_waiting_requests", "Token requests that wait for their session.", registry=REGISTRY
)
STREAMS: Final = Gauge("voicesession_gateway_event_streams", "Open event streams.", registry=REGISTRY)
KUBERNETES_ERRORS: Final = Counter(
    "voicesession_gateway_kubernetes_errors_total",
    "Requests to the API server that failed, watches included.",
    ["call"],
    registry=REGISTRY,
)


class Call(StrEnum):
    """What the gateway asks of the API server."""

    WATCH = "watch"
    CREATE = "create"
    GET = "get"
    DELETE = "delete"


def _begin_at_zero() -> None:
    """A series that appears with its first event shows Prometheus no rise: the first failure would alert nobody."""
    for kind in Kind:
        REFUSALS.labels(kind.value)
    for how in How:
        TOKENS.labels(how.value)
        WAIT_SECONDS.labels(how.value)
    for call in Call:
        KUBERNETES_ERRORS.labels(call.value)
    for status in (201, *STATUS.values()):
        REQUESTS.labels("POST", "/token", str(status))
    REQUEST_SECONDS.labels("POST", "/token")


_begin_at_zero()


def render() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
