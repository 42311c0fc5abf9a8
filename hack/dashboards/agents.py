"""The agents and their memory: who is well, who was mended, and what Letta answers."""

from hack.dashboards.grafana import Dashboard, Panel, Query, Row, quantiles, rise

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
            "Ill agents",
            "Agents with which their own supervisor finds something wrong.",
            [Query("sum(max by (namespace, pod) (voicesession_agent_unhealthy))")],
            kind="stat",
            width=6,
            limit=1,
        ),
        Panel(
            "Agents without memory",
            "Agents that wanted a memory and cannot read it.",
            [Query("sum(1 - voicesession_agent_memory_ok)")],
            kind="stat",
            width=6,
            limit=1,
        ),
        Panel(
            "VoiceAgents that are not Ready",
            "Their memory is unavailable, invalid or not configured.",
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
            "What is wrong",
            "Ill agents by what their supervisor found.",
            [Query("sum by (state) (voicesession_agent_unhealthy)", "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Remedies",
            "New jobs in the window, by what was wrong with the old one.",
            [rise("voicesession_agent_health_restarts_total", "state")],
            stacked=True,
        ),
        Panel(
            "Sessions in trouble",
            "Sessions that have been Ready, by condition that is not True now.",
            [Query("sum by (condition) (voicesession_sessions_degraded)", "{{condition}}")],
            stacked=True,
        ),
        Panel(
            "Resets, as the pod sees them",
            "From being told until the new job was in the room.",
            quantiles("voicesession_agent_reset_seconds", 0.5, 0.9),
            unit="s",
        ),
        Panel(
            "Jobs started",
            "In the window: one for each start, reset, restart and remedy.",
            [rise("voicesession_agent_job_launches_total", "voiceagent")],
        ),
        Panel(
            "Refused control requests",
            "Requests to agent pods in the window that the operator had not signed.",
            [rise("voicesession_control_refused_total", "reason")],
        ),
    ],
)

MEMORY = Row(
    "Memory",
    [
        Panel(
            "Calls of agents to memory",
            "Duration, p90 by call.",
            quantiles("voicesession_agent_memory_request_seconds", 0.9, by="call"),
            unit="s",
        ),
        Panel(
            "How they end",
            "In the window, by call and outcome.",
            [rise("voicesession_agent_memory_request_seconds_count", "call", "outcome")],
        ),
        Panel(
            "Turns that wait to be captured",
            "All pods, and the longest queue; a queue drops its oldest turn at 256.",
            [
                Query("sum(voicesession_agent_capture_backlog)", "all"),
                Query("max(voicesession_agent_capture_backlog)", "longest"),
            ],
            limit=256,
        ),
        Panel(
            "Turns lost",
            "In the window, by reason.",
            [rise("voicesession_agent_turns_lost_total", "reason")],
            limit=1,
        ),
        Panel(
            "Turns sent again",
            "In the window, for want of an answer: Letta may hold them twice.",
            [rise("voicesession_agent_turns_repeated_total")],
        ),
        Panel(
            "The operator's look-ups in Letta",
            "Duration, p90 by what was asked.",
            quantiles("voicesession_letta_request_seconds", 0.9, by="call"),
            unit="s",
        ),
        Panel(
            "Answers to its look-ups",
            "In the window, by outcome.",
            [rise("voicesession_letta_request_seconds_count", "outcome")],
        ),
        Panel(
            "Users whose memory was not found",
            "In the window, by kind of answer.",
            [rise("voicesession_user_memory_errors_total", "kind")],
        ),
    ],
)

DASHBOARD = Dashboard(
    "voicesession-agents",
    "Voice sessions: agents and memory",
    "Who is well, who was mended, and how memory answers.",
    [STATE, HEALTH, MEMORY],
)
