"""Every metric of the operator in one place; each label takes values from a small fixed set."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

FAST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
START_SECONDS: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
RESET_BUCKETS: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)

KUBERNETES_WRITES: Final = Counter(
    "voicesession_kubernetes_writes_total",
    "Writes that the API server accepted.",
    ["verb", "resource"],
    registry=REGISTRY,
)
KUBERNETES_REQUEST_SECONDS: Final = Histogram(
    "voicesession_kubernetes_request_seconds",
    "Duration of requests to the API server.",
    ["verb"],
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
KUBERNETES_ERRORS: Final = Counter(
    "voicesession_kubernetes_errors_total",
    "Requests to the API server that failed, by class of error.",
    ["verb", "kind"],
    registry=REGISTRY,
)
LIVEKIT_REQUEST_SECONDS: Final = Histogram(
    "voicesession_livekit_request_seconds",
    "Duration of requests to LiveKit.",
    ["call", "outcome"],
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
CONTROL_REQUEST_SECONDS: Final = Histogram(
    "voicesession_control_request_seconds",
    "Duration of requests to agent pods.",
    ["method", "outcome"],
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
RECONCILE_SECONDS: Final = Histogram(
    "voicesession_reconcile_seconds",
    "Duration of one reconcile.",
    ["kind", "outcome"],
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
QUEUE_DEPTH: Final = Gauge("voicesession_queue_depth", "Keys that wait for a worker.", ["queue"], registry=REGISTRY)
SESSIONS: Final = Gauge(
    "voicesession_sessions", "Sessions by phase, as the leader knows them.", ["phase"], registry=REGISTRY
)
SESSIONS_FINISHED: Final = Counter(
    "voicesession_sessions_finished_total", "Sessions that ended, by endReason.", ["reason"], registry=REGISTRY
)
READY_SECONDS: Final = Histogram(
    "voicesession_ready_seconds",
    "From a session's creation until its agent was seen in the room.",
    buckets=START_SECONDS,
    registry=REGISTRY,
)
REPLACEMENTS: Final = Counter(
    "voicesession_agent_replacements_total", "Agent pods that replaced a lost one.", registry=REGISTRY
)
RESETS: Final = Counter(
    "voicesession_resets_total", "Resets and recycles, by cause and outcome.", ["cause", "outcome"], registry=REGISTRY
)
RESET_SECONDS: Final = Histogram(
    "voicesession_reset_seconds",
    "From the stored decision to reset until the new agent was seen in the room.",
    buckets=RESET_BUCKETS,
    registry=REGISTRY,
)
USER_MEMORY_ERRORS: Final = Counter(
    "voicesession_user_memory_errors_total",
    "Look-ups of a user's own Letta agent that found none, by kind of answer.",
    ["kind"],
    registry=REGISTRY,
)
WEBHOOKS: Final = Counter(
    "voicesession_webhooks_total", "LiveKit webhooks received.", ["event", "outcome"], registry=REGISTRY
)
RESYNC_DIFFERENCES: Final = Counter(
    "voicesession_resync_differences_total",
    "Objects that a full list showed differently from what the watch had told.",
    ["kind"],
    registry=REGISTRY,
)
RESYNC_TIMESTAMP: Final = Gauge(
    "voicesession_resync_timestamp_seconds", "When the last full list succeeded.", registry=REGISTRY
)
ORPHAN_ROOMS: Final = Counter(
    "voicesession_orphan_rooms_deleted_total", "Rooms deleted because no live session owns them.", registry=REGISTRY
)
EVENTS_LOST: Final = Counter(
    "voicesession_events_lost_total", "Kubernetes events that could not be recorded.", registry=REGISTRY
)
LEADER: Final = Gauge("voicesession_leader", "1 while this replica leads.", registry=REGISTRY)
LOOP_LAG_SECONDS: Final = Gauge(
    "voicesession_loop_lag_seconds", "How late the event loop ran its last tick.", registry=REGISTRY
)


def render() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
