"""Operator and gateway at work: who leads, its queues, what it hears of LiveKit, Kubernetes and pods, who is let in."""

from dataclasses import replace

from hack.dashboards.grafana import Dashboard, Panel, Query, Row, quantiles, rate, rise

STATE = Row(
    "State",
    [
        Panel("Leaders", "1 is right.", [Query("sum(voicesession_leader)")], kind="stat", width=4),
        Panel(
            "Replicas", "Operators that answer Prometheus.", [Query("count(voicesession_leader)")], kind="stat", width=4
        ),
        Panel(
            "Oldest key",
            "How long the oldest key of any queue has been waiting or worked on.",
            [Query("max(voicesession_queue_oldest_seconds)")],
            unit="s",
            kind="stat",
            width=4,
            limit=60,
        ),
        Panel(
            "Last full list",
            "How long ago the leader last compared its cache with the API server; every minute is right.",
            [Query("time() - max(voicesession_resync_timestamp_seconds > 0)")],
            unit="s",
            kind="stat",
            width=4,
            limit=300,
        ),
        Panel(
            "Loop lag",
            "How late the event loop ran its last tick; above 5 s a replica is restarted.",
            [Query("max(voicesession_loop_lag_seconds)")],
            unit="s",
            kind="stat",
            width=4,
            limit=1,
        ),
        Panel(
            "Webhooks lost",
            "Comings and goings in the window that only a look at LiveKit showed.",
            [rise("voicesession_webhooks_lost_total")],
            kind="stat",
            width=4,
            limit=1,
        ),
    ],
)

QUEUES = Row(
    "Queues",
    [
        Panel(
            "Reconciles",
            "Each second, by kind and outcome.",
            [rate("voicesession_reconcile_seconds_count", "kind", "outcome")],
            unit="reqps",
        ),
        Panel(
            "Duration of a reconcile",
            "p99 by kind.",
            quantiles("voicesession_reconcile_seconds", 0.99, by="kind"),
            unit="s",
        ),
        Panel(
            "Waiting for a worker",
            "p99 by queue.",
            quantiles("voicesession_queue_wait_seconds", 0.99, by="queue"),
            unit="s",
        ),
        Panel(
            "Depth",
            "Keys that wait for a worker.",
            [Query("sum by (queue) (voicesession_queue_depth)", "{{queue}}")],
        ),
        Panel("Retries", "Keys that failed in the window.", [rise("voicesession_queue_retries_total", "queue")]),
        Panel(
            "Differences found by full lists",
            "What the watch had not told, in the window.",
            [rise("voicesession_resync_differences_total", "kind")],
        ),
    ],
)

LIVEKIT = Row(
    "LiveKit",
    [
        Panel(
            "Calls",
            "Duration, p99 by call.",
            quantiles("voicesession_livekit_request_seconds", 0.99, by="call"),
            unit="s",
        ),
        Panel(
            "Calls that fail",
            "In the window, by call and outcome.",
            [
                rise(
                    "voicesession_livekit_request_seconds_count",
                    "call",
                    "outcome",
                    where='{outcome=~"error|unreachable"}',
                )
            ],
        ),
        Panel(
            "Webhooks",
            "Received in the window, by event and outcome.",
            [rise("voicesession_webhooks_total", "event", "outcome")],
            stacked=True,
        ),
        Panel(
            "Age of webhooks",
            "When they are handled; up to 1 s too long, since their stamps have whole seconds.",
            quantiles("voicesession_webhook_lag_seconds", 0.5, 0.9),
            unit="s",
            limit=5,
        ),
        Panel(
            "Webhooks that never came",
            "In the window, by event.",
            [rise("voicesession_webhooks_lost_total", "event")],
        ),
        Panel(
            "Orphaned rooms",
            "Deleted in the window because no live session owned them.",
            [rise("voicesession_orphan_rooms_deleted_total")],
        ),
    ],
)

KUBERNETES = Row(
    "Kubernetes and agent pods",
    [
        Panel(
            "Writes",
            "Accepted each second, by verb and resource.",
            [rate("voicesession_kubernetes_writes_total", "verb", "resource")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Requests",
            "Duration, p99 by verb.",
            quantiles("voicesession_kubernetes_request_seconds", 0.99, by="verb"),
            unit="s",
        ),
        Panel(
            "Requests that fail",
            "In the window, by verb and class; a few conflicts are ordinary.",
            [rise("voicesession_kubernetes_errors_total", "verb", "kind")],
        ),
        Panel(
            "Requests to agent pods",
            "Duration, p99 by method.",
            quantiles("voicesession_control_request_seconds", 0.99, by="method"),
            unit="s",
        ),
        Panel(
            "Answers of agent pods",
            "Each second, by outcome; a pod that is starting is unreachable at first.",
            [rate("voicesession_control_request_seconds_count", "outcome")],
            unit="reqps",
        ),
        Panel(
            "Memory of the operator",
            "Resident, by pod.",
            [Query("process_resident_memory_bytes and on (pod) voicesession_leader", "{{pod}}")],
            unit="bytes",
        ),
    ],
)

GATEWAY = Row(
    "Gateway",
    [
        Panel(
            "Requests",
            "Answered each second, by status code; probes are left out.",
            [rate("voicesession_gateway_requests_total", "code")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Refusals",
            "In the window, by kind.",
            [rise("voicesession_gateway_errors_total", "kind")],
            stacked=True,
        ),
        Panel(
            "Duration of a request",
            "p90 by route, event streams left out; a token request waits for its session.",
            quantiles("voicesession_gateway_request_seconds", 0.9, by="route"),
            unit="s",
        ),
        Panel(
            "From a token request until Ready",
            "Of those that got a token, by how they came to their session.",
            quantiles("voicesession_gateway_ready_seconds", 0.5, 0.9, by="how"),
            unit="s",
            limit=30,
        ),
        Panel(
            "Tokens handed out",
            "In the window, by how their holders came to their session.",
            [rise("voicesession_gateway_tokens_total", "how")],
            stacked=True,
        ),
        Panel(
            "Sessions made and taken back",
            "In the window. One is taken back where another one, made elsewhere at the same moment, came first.",
            [
                replace(rise("voicesession_gateway_sessions_created_total"), legend="made"),
                replace(rise("voicesession_gateway_sessions_withdrawn_total"), legend="taken back"),
            ],
        ),
        Panel(
            "Live sessions made by gateways",
            "Every replica knows all of its namespace; the largest figure of each release.",
            [Query("sum(max by (namespace) (voicesession_gateway_live_sessions))")],
        ),
        Panel(
            "Who waits and who follows",
            "Token requests that wait for their session, and open event streams.",
            [
                Query("sum(voicesession_gateway_waiting_requests)", "waiting requests"),
                Query("sum(voicesession_gateway_event_streams)", "event streams"),
            ],
        ),
        Panel(
            "Its requests to Kubernetes that fail",
            "In the window, by call; watches included.",
            [rise("voicesession_gateway_kubernetes_errors_total", "call")],
        ),
    ],
)

DASHBOARD = Dashboard(
    "voicesession-operator",
    "Voice sessions: operator and gateway",
    "Who leads, how its queues fare, how LiveKit, Kubernetes and the pods answer, and how people get in.",
    [STATE, QUEUES, LIVEKIT, KUBERNETES, GATEWAY],
)
