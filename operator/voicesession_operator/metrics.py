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
    disable_created_metrics,
    generate_latest,
)
from voicesession_common.api.reasons import Cause, ConditionType, EndReason, Phase, ResetOutcome
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import READ_VERBS, VERBS

from voicesession_operator.metric_labels import LostEvent, ReplacementReason, StartStage, Until

# When a series began is of no use to anybody, and would be a third of all that is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

FAST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
START_SECONDS: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
STAGE_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
RESET_BUCKETS: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
LEAVING_SECONDS: Final = (
    0.25,
    0.5,
    1.0,
    2.0,
    3.0,
    3.5,
    4.0,
    5.0,
    7.5,
    10.0,
    20.0,
    30.0,
    31.0,
    32.5,
    35.0,
    45.0,
    60.0,
    120.0,
)
WEBHOOK_SECONDS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0, 360.0)
"""LiveKit stamps webhooks with whole seconds, gives up after 15 s or so, and signs for 5 minutes."""
WAIT_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

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
LETTA_REQUEST_SECONDS: Final = Histogram(
    "voicesession_letta_request_seconds",
    "Duration of the operator's look-ups of memories in Letta, each of one to three requests.",
    ["call", "outcome"],
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
QUEUE_DEPTH: Final = Gauge("voicesession_queue_depth", "Keys that wait for a worker.", ["queue"], registry=REGISTRY)
QUEUE_WAIT_SECONDS: Final = Histogram(
    "voicesession_queue_wait_seconds",
    "How long a key waited for a worker.",
    ["queue"],
    buckets=WAIT_SECONDS,
    registry=REGISTRY,
)
QUEUE_OLDEST_SECONDS: Final = Gauge(
    "voicesession_queue_oldest_seconds",
    "For how long the oldest key has been waiting or worked on; 0 when there is none.",
    ["queue"],
    registry=REGISTRY,
)
QUEUE_RETRIES: Final = Counter(
    "voicesession_queue_retries_total", "Keys that failed and are tried again.", ["queue"], registry=REGISTRY
)
SESSIONS: Final = Gauge(
    "voicesession_sessions", "Sessions by phase, as the leader knows them.", ["phase"], registry=REGISTRY
)
HUMANS: Final = Gauge("voicesession_humans", "Humans in the rooms of all sessions.", registry=REGISTRY)
SESSIONS_DEGRADED: Final = Gauge(
    "voicesession_sessions_degraded",
    "Sessions that have been Ready and live on, by condition that is not True now.",
    ["condition"],
    registry=REGISTRY,
)
VOICE_AGENTS: Final = Gauge(
    "voicesession_voiceagents", "VoiceAgents, by whether they are Ready.", ["ready"], registry=REGISTRY
)
SESSIONS_FINISHED: Final = Counter(
    "voicesession_sessions_finished_total", "Sessions that ended, by endReason.", ["reason"], registry=REGISTRY
)
READY_SECONDS: Final = Histogram(
    "voicesession_ready_seconds",
    "From a session's creation until its agent was seen in the room; up to 1 s too long, since creation times have "
    "whole seconds.",
    buckets=START_SECONDS,
    registry=REGISTRY,
)
START_STAGE_SECONDS: Final = Histogram(
    "voicesession_start_stage_seconds",
    "The time to Ready, split: how long each stage of a session's start took after the one before it.",
    ["stage"],
    buckets=STAGE_SECONDS,
    registry=REGISTRY,
)
REPLACEMENTS: Final = Counter(
    "voicesession_agent_replacements_total", "Agent pods that were replaced, by reason.", ["reason"], registry=REGISTRY
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
LAST_HUMAN_SECONDS: Final = Histogram(
    "voicesession_last_human_seconds",
    "From the last human's leaving, the grace included, until a new agent was in the room or nothing was left of it.",
    ["until"],
    buckets=LEAVING_SECONDS,
    registry=REGISTRY,
)
TEARDOWN_SECONDS: Final = Histogram(
    "voicesession_teardown_seconds",
    "From the stored end of a session until neither its room nor a pod of it was left.",
    buckets=START_SECONDS,
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
WEBHOOK_LAG_SECONDS: Final = Histogram(
    "voicesession_webhook_lag_seconds",
    "Age of LiveKit's webhooks when they were handled; up to 1 s too long, since their stamps have whole seconds.",
    buckets=WEBHOOK_SECONDS,
    registry=REGISTRY,
)
WEBHOOKS_LOST: Final = Counter(
    "voicesession_webhooks_lost_total",
    "Participants whom a look at LiveKit showed to have come or gone, and whom no webhook has told of since.",
    ["event"],
    registry=REGISTRY,
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
    "voicesession_events_lost_total",
    "Kubernetes events that could not be recorded, or were too many of one kind.",
    registry=REGISTRY,
)
LEADER: Final = Gauge("voicesession_leader", "1 while this replica leads.", registry=REGISTRY)
LOOP_LAG_SECONDS: Final = Gauge(
    "voicesession_loop_lag_seconds", "How late the event loop ran its last tick.", registry=REGISTRY
)


TROUBLES: Final = (
    ConditionType.ROOM_READY,
    ConditionType.AGENT_JOINED,
    ConditionType.AGENT_HEALTHY,
    ConditionType.MEMORY_READY,
)
"""Conditions that voicesession_sessions_degraded counts."""
QUEUES: Final = ("sessions", "agents", "users")


def _begin_at_zero() -> None:
    """A series that appears with its first event shows Prometheus no rise: the first failure would alert nobody."""
    for phase in Phase:
        SESSIONS.labels(phase.value)
    for end in EndReason:
        SESSIONS_FINISHED.labels(end.value)
    for why in ReplacementReason:
        REPLACEMENTS.labels(why.value)
    for cause in set(Cause) - {Cause.START, Cause.REPLACED}:
        for outcome in set(ResetOutcome) - {ResetOutcome.RUNNING}:
            RESETS.labels(cause.value, outcome.value)
    for until in Until:
        LAST_HUMAN_SECONDS.labels(until.value)
    for stage in StartStage:
        START_STAGE_SECONDS.labels(stage.value)
    for event in LostEvent:
        WEBHOOKS_LOST.labels(event.value)
        WEBHOOKS.labels(event.value, "accepted")
    for condition in TROUBLES:
        SESSIONS_DEGRADED.labels(condition.value)
    for verb in VERBS:
        for kind in (RetryableError, ConflictError, NotFoundError, TerminalError):
            KUBERNETES_ERRORS.labels(verb, kind.__name__)
    for queue in QUEUES:
        QUEUE_OLDEST_SECONDS.labels(queue)
        QUEUE_WAIT_SECONDS.labels(queue)
        QUEUE_RETRIES.labels(queue)


_begin_at_zero()


def observe_kubernetes_request(verb: str, plural: str, seconds: float, error: ExternalError | None) -> None:
    """Record one request of the Kubernetes client; a successful write counts by resource."""
    KUBERNETES_REQUEST_SECONDS.labels(verb).observe(seconds)
    if error is not None:
        KUBERNETES_ERRORS.labels(verb, type(error).__name__).inc()
    elif verb not in READ_VERBS:
        KUBERNETES_WRITES.labels(verb, plural).inc()


def render() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
