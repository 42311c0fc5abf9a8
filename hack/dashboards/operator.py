"""Operator and gateway: leader, queues, requests to LiveKit, Kubernetes and agent pods, requests of clients."""

from dataclasses import replace

from hack.dashboards.grafana import Dashboard, Panel, Query, Row, increase, quantiles, rate

STATE = Row(
    "State",
    [
        Panel("Leaders", "Expected value: 1.", [Query("sum(voicesession_leader)")], kind="stat", width=4),
        Panel(
            "Replicas",
            "Operator replicas scraped by Prometheus.",
            [Query("count(voicesession_leader)")],
            kind="stat",
            width=4,
        ),
        Panel(
            "Oldest key",
            "Age of the oldest key of any queue, waiting or in work.",
            [Query("max(voicesession_queue_oldest_seconds)")],
            unit="s",
            kind="stat",
            width=4,
            limit=60,
        ),
        Panel(
            "Last resync",
            "Time since the leader last compared its cache with the API server; expected every minute.",
            [Query("time() - max(voicesession_resync_timestamp_seconds > 0)")],
            unit="s",
            kind="stat",
            width=4,
            limit=300,
        ),
        Panel(
            "Loop lag",
            "Delay of the event loop's last tick; a replica above 5 s is restarted.",
            [Query("max(voicesession_loop_lag_seconds)")],
            unit="s",
            kind="stat",
            width=4,
            limit=1,
        ),
        Panel(
            "Lost webhooks",
            "Participants that joined or left in the window without a webhook, found by polling LiveKit.",
            [increase("voicesession_webhooks_lost_total")],
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
            "Reconciles per second, by kind and outcome.",
            [rate("voicesession_reconcile_seconds_count", "kind", "outcome")],
            unit="reqps",
        ),
        Panel(
            "Reconcile duration",
            "p99 by kind.",
            quantiles("voicesession_reconcile_seconds", 0.99, by="kind"),
            unit="s",
        ),
        Panel(
            "Queue wait",
            "Time a key waits for a worker, p99 by queue.",
            quantiles("voicesession_queue_wait_seconds", 0.99, by="queue"),
            unit="s",
        ),
        Panel(
            "Queue depth",
            "Keys waiting for a worker.",
            [Query("sum by (queue) (voicesession_queue_depth)", "{{queue}}")],
        ),
        Panel("Retries", "Retries of keys in the window.", [increase("voicesession_queue_retries_total", "queue")]),
        Panel(
            "Differences found by resyncs",
            "Changes in the window that the watch missed.",
            [increase("voicesession_resync_differences_total", "kind")],
        ),
    ],
)

LIVEKIT = Row(
    "LiveKit",
    [
        Panel(
            "LiveKit requests",
            "Duration, p99 by call.",
            quantiles("voicesession_livekit_request_seconds", 0.99, by="call"),
            unit="s",
        ),
        Panel(
            "Failed LiveKit requests",
            "In the window, by call and outcome.",
            [
                increase(
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
            [increase("voicesession_webhooks_total", "event", "outcome")],
            stacked=True,
        ),
        Panel(
            "Age of webhooks",
            "Age at handling; up to 1 s too long, because webhook timestamps have whole seconds.",
            quantiles("voicesession_webhook_lag_seconds", 0.5, 0.9),
            unit="s",
            limit=5,
        ),
        Panel(
            "Lost webhooks by event",
            "In the window, by event.",
            [increase("voicesession_webhooks_lost_total", "event")],
        ),
        Panel(
            "Orphaned rooms",
            "Rooms deleted in the window because no live session owned them.",
            [increase("voicesession_orphan_rooms_deleted_total")],
        ),
    ],
)

KUBERNETES = Row(
    "Kubernetes and agent pods",
    [
        Panel(
            "Writes",
            "Accepted writes per second, by verb and resource.",
            [rate("voicesession_kubernetes_writes_total", "verb", "resource")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Kubernetes requests",
            "Duration, p99 by verb.",
            quantiles("voicesession_kubernetes_request_seconds", 0.99, by="verb"),
            unit="s",
        ),
        Panel(
            "Failed Kubernetes requests",
            "In the window, by verb and class; a few conflicts are normal.",
            [increase("voicesession_kubernetes_errors_total", "verb", "kind")],
        ),
        Panel(
            "Requests to agent pods",
            "Duration, p99 by method.",
            quantiles("voicesession_control_request_seconds", 0.99, by="method"),
            unit="s",
        ),
        Panel(
            "Responses of agent pods",
            "Responses per second, by outcome; a starting pod is unreachable at first.",
            [rate("voicesession_control_request_seconds_count", "outcome")],
            unit="reqps",
        ),
        Panel(
            "Operator memory",
            "Resident memory, by pod.",
            [Query("process_resident_memory_bytes and on (pod) voicesession_leader", "{{pod}}")],
            unit="bytes",
        ),
        Panel(
            "Namespaces",
            "Watched namespaces that cannot be listed, and rooms of namespaces that are not watched any more.",
            [
                Query("max(voicesession_namespaces_unreadable)", "unreadable namespaces"),
                Query("max(voicesession_rooms_unwatched)", "rooms of unwatched namespaces"),
            ],
        ),
    ],
)

GATEWAY = Row(
    "Gateway",
    [
        Panel(
            "Gateway requests",
            "Responses per second by status code, without probes.",
            [rate("voicesession_gateway_requests_total", "code")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Gateway errors",
            "Error responses in the window, by kind.",
            [increase("voicesession_gateway_errors_total", "kind")],
            stacked=True,
        ),
        Panel(
            "Gateway request duration",
            "p90 by route, without event streams; a token request waits for its session.",
            quantiles("voicesession_gateway_request_seconds", 0.9, by="route"),
            unit="s",
        ),
        Panel(
            "Token request duration",
            "Successful token requests, by how the session was found or created.",
            quantiles("voicesession_gateway_ready_seconds", 0.5, 0.9, by="how"),
            unit="s",
            limit=30,
        ),
        Panel(
            "Issued tokens",
            "In the window, by how the session was found or created.",
            [increase("voicesession_gateway_tokens_total", "how")],
            stacked=True,
        ),
        Panel(
            "Sessions created and withdrawn",
            "In the window. A session is withdrawn if another replica created one for the same request first.",
            [
                replace(increase("voicesession_gateway_sessions_created_total"), legend="created"),
                replace(increase("voicesession_gateway_sessions_withdrawn_total"), legend="withdrawn"),
            ],
        ),
        Panel(
            "Live sessions of gateways",
            "Every replica counts all sessions of its namespace; the largest count of each namespace.",
            [Query("sum(max by (namespace) (voicesession_gateway_live_sessions))")],
        ),
        Panel(
            "Waiting requests and event streams",
            "Token requests waiting for their session, and open event streams.",
            [
                Query("sum(voicesession_gateway_waiting_requests)", "waiting requests"),
                Query("sum(voicesession_gateway_event_streams)", "event streams"),
            ],
        ),
        Panel(
            "Failed Kubernetes requests of the gateway",
            "In the window, by call, including watches.",
            [increase("voicesession_gateway_kubernetes_errors_total", "call")],
        ),
    ],
)

DASHBOARD = Dashboard(
    "voicesession-operator",
    "Voice sessions: operator and gateway",
    "Leader and queues of the operator, requests to LiveKit, Kubernetes and agent pods, and requests to the gateway.",
    [STATE, QUEUES, LIVEKIT, KUBERNETES, GATEWAY],
)
