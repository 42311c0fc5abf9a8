"""The agents and their memory: health, restarts, and requests to Letta."""

from hack.dashboards.grafana import Dashboard, Panel, Query, Row, increase, quantiles

STATE = Row(
    "State",
    [
        Panel(
            "Agents in their rooms",
            "Agent pods whose job is in its room.",
            [Query("sum(voicesession_agent_job_joined)")],
            kind="stat",
            width=6,
        ),
        Panel(
            "Unhealthy agents",
            "Agents with a health problem, as reported by their supervisor.",
            [Query("sum(max by (namespace, pod) (voicesession_agent_unhealthy))")],
            kind="stat",
            width=6,
            limit=1,
        ),
        Panel(
            "Agents without memory",
            "Agents with a configured memory that they cannot read.",
            [Query("sum(1 - voicesession_agent_memory_ok)")],
            kind="stat",
            width=6,
            limit=1,
        ),
        Panel(
            "VoiceAgents not Ready",
            "VoiceAgents with unavailable, invalid or unconfigured memory.",
            [Query('sum(voicesession_voiceagents{ready="false"})')],
            kind="stat",
            width=6,
            limit=1,
        ),
    ],
)

HEALTH = Row(
    "Health",
    [
        Panel(
            "Health problems",
            "Unhealthy agents by problem.",
            [Query("sum by (state) (voicesession_agent_unhealthy)", "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Health restarts",
            "Jobs restarted in the window because of a health problem, by problem.",
            [increase("voicesession_agent_health_restarts_total", "state")],
            stacked=True,
        ),
        Panel(
            "Degraded sessions",
            "Sessions that have been Ready, by the condition that is no longer True.",
            [Query("sum by (condition) (voicesession_sessions_degraded)", "{{condition}}")],
            stacked=True,
        ),
        Panel(
            "Reset duration in the pod",
            "From receiving the new epoch until the new job was in the room.",
            quantiles("voicesession_agent_reset_seconds", 0.5, 0.9),
            unit="s",
        ),
        Panel(
            "Jobs started",
            "In the window, by VoiceAgent: one for each start, reset and restart.",
            [increase("voicesession_agent_job_launches_total", "voiceagent")],
        ),
        Panel(
            "Rejected control requests",
            "Requests to agent pods in the window without a valid signature of the operator, by reason.",
            [increase("voicesession_control_refused_total", "reason")],
        ),
    ],
)

MEMORY = Row(
    "Memory",
    [
        Panel(
            "Memory requests of agents",
            "Duration, p90 by call.",
            quantiles("voicesession_agent_memory_request_seconds", 0.9, by="call"),
            unit="s",
        ),
        Panel(
            "Results of memory requests",
            "In the window, by call and outcome.",
            [increase("voicesession_agent_memory_request_seconds_count", "call", "outcome")],
        ),
        Panel(
            "Capture backlog",
            "Turns waiting to be captured: all pods, and the longest queue. A queue drops its oldest turn at 256.",
            [
                Query("sum(voicesession_agent_capture_backlog)", "all"),
                Query("max(voicesession_agent_capture_backlog)", "longest"),
            ],
            limit=256,
        ),
        Panel(
            "Lost turns",
            "In the window, by reason.",
            [increase("voicesession_agent_turns_lost_total", "reason")],
            limit=1,
        ),
        Panel(
            "Repeated turns",
            "Turns sent again in the window after a missing response; Letta may hold them twice.",
            [increase("voicesession_agent_turns_repeated_total")],
        ),
        Panel(
            "Letta requests of the operator",
            "Duration, p90 by request.",
            quantiles("voicesession_letta_request_seconds", 0.9, by="call"),
            unit="s",
        ),
        Panel(
            "Results of Letta requests",
            "In the window, by outcome.",
            [increase("voicesession_letta_request_seconds_count", "outcome")],
        ),
        Panel(
            "User memory errors",
            "Failed look-ups of user memories in the window, by kind.",
            [increase("voicesession_user_memory_errors_total", "kind")],
        ),
    ],
)

DASHBOARD = Dashboard(
    "voicesession-agents",
    "Voice sessions: agents and memory",
    "Health and restarts of agents, and requests to memory.",
    [STATE, HEALTH, MEMORY],
)
