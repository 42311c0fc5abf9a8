"""All metrics of the operator. Each label takes values from a small fixed set."""

from collections.abc import Iterable
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
from voicesession_common.api.reasons import Cause, ConditionType, EndReason, ResetOutcome, SessionPhase
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import READ_VERBS, VERBS

from voicesession_operator.metric_labels import (
    ClaimResult,
    LastHumanOutcome,
    LostWebhookEvent,
    PoolPodState,
    ReplacementReason,
    StartStage,
)

# Creation times of series are unused and would make up a third of every scrape.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

FAST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
START_SECONDS: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
STAGE_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
RESET_BUCKETS: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
LAST_HUMAN_BUCKETS: Final = (
    *(0.25, 0.5, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0, 7.5, 10.0, 20.0),
    *(30.0, 31.0, 32.5, 35.0, 45.0, 60.0, 120.0),
)
WEBHOOK_SECONDS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0, 360.0)
"""LiveKit's webhook timestamps have whole seconds; it retries for about 15 s and signs for 5 minutes."""
WAIT_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

KUBERNETES_WRITES: Final = Counter(
    "voicesession_kubernetes_writes_total",
    "Writes accepted by the API server.",
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
    "Failed requests to the API server, by class of error.",
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
    "Duration of the operator's calls of Letta about memory, each of one or more requests.",
    ["call", "outcome"],
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
QUEUE_DEPTH: Final = Gauge("voicesession_queue_depth", "Keys waiting for a worker.", ["queue"], registry=REGISTRY)
QUEUE_WAIT_SECONDS: Final = Histogram(
    "voicesession_queue_wait_seconds",
    "Time from the enqueuing of a key until a worker took it.",
    ["queue"],
    buckets=WAIT_SECONDS,
    registry=REGISTRY,
)
QUEUE_OLDEST_SECONDS: Final = Gauge(
    "voicesession_queue_oldest_seconds",
    "Age of the oldest key that is waiting or being processed; 0 when there is none.",
    ["queue"],
    registry=REGISTRY,
)
QUEUE_RETRIES: Final = Counter(
    "voicesession_queue_retries_total", "Keys that failed and were enqueued again.", ["queue"], registry=REGISTRY
)
SESSIONS: Final = Gauge(
    "voicesession_sessions", "Sessions by phase, from the leader's cache.", ["phase"], registry=REGISTRY
)
HUMANS: Final = Gauge("voicesession_humans", "Humans in the rooms of all sessions.", registry=REGISTRY)
SESSIONS_DEGRADED: Final = Gauge(
    "voicesession_sessions_degraded",
    "Unfinished sessions that have been Ready, by condition that is not True.",
    ["condition"],
    registry=REGISTRY,
)
POOL_CLAIMS: Final = Counter(
    "voicesession_pool_claims_total",
    "Pods that sessions of an agent with a VoicePool needed, by result; a miss starts cold.",
    ["result"],
    registry=REGISTRY,
)
CLAIM_SECONDS: Final = Histogram(
    "voicesession_claim_seconds",
    "Duration of successful claims of a warm pod.",
    buckets=FAST_SECONDS,
    registry=REGISTRY,
)
POOL_PODS: Final = Gauge("voicesession_pool_pods", "Pods of all VoicePools, by state.", ["state"], registry=REGISTRY)
POOLS_NOT_READY: Final = Gauge(
    "voicesession_pools_not_ready", "VoicePools with fewer warm pods than warm.min.", registry=REGISTRY
)
POOLS_NOT_PROGRESSING: Final = Gauge(
    "voicesession_pools_not_progressing", "VoicePools whose new pods do not get warm.", registry=REGISTRY
)
VOICE_AGENTS: Final = Gauge("voicesession_voiceagents", "VoiceAgents by readiness.", ["ready"], registry=REGISTRY)
SESSIONS_FINISHED: Final = Counter(
    "voicesession_sessions_finished_total", "Finished sessions, by endReason.", ["reason"], registry=REGISTRY
)
READY_SECONDS: Final = Histogram(
    "voicesession_ready_seconds",
    "Time from a session's creation until LiveKit listed its agent; up to 1 s too long, since creation times have "
    "whole seconds.",
    buckets=START_SECONDS,
    registry=REGISTRY,
)
START_STAGE_SECONDS: Final = Histogram(
    "voicesession_start_stage_seconds",
    "Time to Ready by stage, each measured from the end of the previous stage.",
    ["stage"],
    buckets=STAGE_SECONDS,
    registry=REGISTRY,
)
REPLACEMENTS: Final = Counter(
    "voicesession_agent_replacements_total", "Replaced agent pods, by reason.", ["reason"], registry=REGISTRY
)
RESETS: Final = Counter(
    "voicesession_resets_total", "Resets and recycles, by cause and outcome.", ["cause", "outcome"], registry=REGISTRY
)
RESET_SECONDS: Final = Histogram(
    "voicesession_reset_seconds",
    "Time from the stored reset decision until LiveKit listed the new agent.",
    buckets=RESET_BUCKETS,
    registry=REGISTRY,
)
LAST_HUMAN_SECONDS: Final = Histogram(
    "voicesession_last_human_seconds",
    "Time from the last human's leaving, including the grace, until a new agent joined or room and pods were gone.",
    ["until"],
    buckets=LAST_HUMAN_BUCKETS,
    registry=REGISTRY,
)
TEARDOWN_SECONDS: Final = Histogram(
    "voicesession_teardown_seconds",
    "Time from the stored end of a session until its room and pods were gone.",
    buckets=START_SECONDS,
    registry=REGISTRY,
)
USER_MEMORY_ERRORS: Final = Counter(
    "voicesession_user_memory_errors_total",
    "Lookups of a user's Letta agent without a result, by kind of answer.",
    ["kind"],
    registry=REGISTRY,
)
USER_MEMORIES_DELETED: Final = Counter(
    "voicesession_user_memories_deleted_total", "Deleted Letta agents of users, by cause.", ["cause"], registry=REGISTRY
)
WEBHOOKS: Final = Counter(
    "voicesession_webhooks_total", "LiveKit webhooks received.", ["event", "outcome"], registry=REGISTRY
)
WEBHOOK_LAG_SECONDS: Final = Histogram(
    "voicesession_webhook_lag_seconds",
    "Age of LiveKit's webhooks at their arrival; up to 1 s too long, since their timestamps have whole seconds.",
    buckets=WEBHOOK_SECONDS,
    registry=REGISTRY,
)
WEBHOOKS_LOST: Final = Counter(
    "voicesession_webhooks_lost_total",
    "Joins and leaves that LiveKit's participant list showed and no webhook reported.",
    ["event"],
    registry=REGISTRY,
)
RESYNC_DIFFERENCES: Final = Counter(
    "voicesession_resync_differences_total",
    "Objects in which a full list differed from the watch cache.",
    ["kind"],
    registry=REGISTRY,
)
RESYNC_TIMESTAMP: Final = Gauge(
    "voicesession_resync_timestamp_seconds", "Time of the last successful full list.", registry=REGISTRY
)
NAMESPACES_UNREADABLE: Final = Gauge(
    "voicesession_namespaces_unreadable",
    "Watched namespaces whose objects could not be listed; their sessions wait, all others are served.",
    registry=REGISTRY,
)
ORPHAN_ROOMS: Final = Counter(
    "voicesession_orphan_rooms_deleted_total", "Rooms deleted because no live session owned them.", registry=REGISTRY
)
UNWATCHED_ROOMS: Final = Gauge(
    "voicesession_rooms_unwatched",
    "Own rooms in namespaces that are not watched any more; each is deleted when all humans have left.",
    registry=REGISTRY,
)
EVENTS_LOST: Final = Counter(
    "voicesession_events_lost_total",
    "Kubernetes events dropped because writing failed or the rate limit was reached.",
    registry=REGISTRY,
)
LEADER: Final = Gauge("voicesession_leader", "1 while this replica leads.", registry=REGISTRY)
LOOP_LAG_SECONDS: Final = Gauge(
    "voicesession_loop_lag_seconds", "Delay of the event loop's last tick.", registry=REGISTRY
)


DEGRADING_CONDITIONS: Final = (
    ConditionType.ROOM_READY,
    ConditionType.AGENT_JOINED,
    ConditionType.AGENT_HEALTHY,
    ConditionType.MEMORY_READY,
)
"""Conditions counted by voicesession_sessions_degraded."""
QUEUES: Final = ("sessions", "agents", "pools", "users")


def _initialize_series() -> None:
    """Create the series that alerts use. Without a value of 0, Prometheus sees no increase at the first failure."""
    series: tuple[tuple[Counter | Gauge | Histogram, Iterable[StrEnum]], ...] = (
        (SESSIONS, SessionPhase),
        (SESSIONS_FINISHED, EndReason),
        (REPLACEMENTS, ReplacementReason),
        (LAST_HUMAN_SECONDS, LastHumanOutcome),
        (POOL_CLAIMS, ClaimResult),
        (POOL_PODS, PoolPodState),
        (START_STAGE_SECONDS, StartStage),
        (WEBHOOKS_LOST, LostWebhookEvent),
        (SESSIONS_DEGRADED, DEGRADING_CONDITIONS),
    )
    for metric, values in series:
        for value in values:
            metric.labels(value.value)
    for cause in set(Cause) - {Cause.START, Cause.REPLACED}:
        for outcome in set(ResetOutcome) - {ResetOutcome.RUNNING}:
            RESETS.labels(cause.value, outcome.value)
    for event in LostWebhookEvent:
        WEBHOOKS.labels(event.value, "accepted")
    for verb in VERBS:
        for kind in (RetryableError, ConflictError, NotFoundError, TerminalError):
            KUBERNETES_ERRORS.labels(verb, kind.__name__)
    for queue in QUEUES:
        for metric in (QUEUE_OLDEST_SECONDS, QUEUE_WAIT_SECONDS, QUEUE_RETRIES):
            metric.labels(queue)


_initialize_series()


def observe_kubernetes_request(verb: str, plural: str, seconds: float, error: BaseException | None) -> None:
    """Record one request of the Kubernetes client; a successful write counts by resource.

    A canceled request is neither an error nor a write.
    """
    KUBERNETES_REQUEST_SECONDS.labels(verb).observe(seconds)
    if isinstance(error, ExternalError):
        KUBERNETES_ERRORS.labels(verb, type(error).__name__).inc()
    elif error is None and verb not in READ_VERBS:
        KUBERNETES_WRITES.labels(verb, plural).inc()


def render() -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
