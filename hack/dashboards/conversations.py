"""Conversations: number of humans, time to a session and to an answer, and how sessions end."""

from hack.dashboards.grafana import Dashboard, Panel, Query, Row, increase, means, quantiles

FAILED = '{reason=~"StartDeadline|Invalid|AgentLost|RoomLost"}'
"""End reasons that are failures."""
NOW = Row(
    "Now",
    [
        Panel(
            "Live sessions",
            "Sessions that are not finished.",
            [Query('sum(voicesession_sessions{phase!="Finished"})')],
            kind="stat",
            width=4,
        ),
        Panel("Humans", "Humans in all rooms.", [Query("sum(voicesession_humans)")], kind="stat", width=4),
        Panel(
            "Degraded sessions",
            "Sessions that were Ready and now lack room, agent, health or memory; a session can count several times.",
            [Query("sum(voicesession_sessions_degraded)")],
            kind="stat",
            width=4,
            limit=1,
        ),
        Panel(
            "Time to Ready, p90",
            "From the creation of a session until its agent is in the room.",
            quantiles("voicesession_ready_seconds", 0.9),
            unit="s",
            kind="stat",
            width=4,
            limit=30,
        ),
        Panel(
            "Time to an answer, p90",
            "From the end of a human's speech to the first audio of the answer.",
            quantiles("voicesession_agent_response_seconds", 0.9),
            unit="s",
            kind="stat",
            width=4,
            limit=3,
        ),
        Panel(
            "Failed sessions",
            "Sessions that ended in the window without an agent (StartDeadline, Invalid), or after losing their agent "
            "or room (AgentLost, RoomLost).",
            [increase("voicesession_sessions_finished_total", where=FAILED)],
            kind="stat",
            width=4,
            limit=1,
        ),
    ],
)

STARTS = Row(
    "From apply to Ready",
    [
        Panel(
            "Time to Ready",
            "From the creation of a session until its agent is in the room; up to 1 s too long, because creation "
            "times have whole seconds.",
            quantiles("voicesession_ready_seconds", 0.5, 0.9, 0.99),
            unit="s",
            limit=30,
        ),
        Panel(
            "Time to Ready by stage",
            "Mean of each stage. process_started is the share of Kubernetes (scheduling, image, container), "
            "models_loaded and joined are the agent's; all other stages are the operator's.",
            [means("voicesession_start_stage_seconds", "stage")],
            unit="s",
            stacked=True,
        ),
        Panel(
            "Sessions by phase",
            "As counted by the leading operator.",
            [Query("sum by (phase) (voicesession_sessions)", "{{phase}}")],
            stacked=True,
        ),
    ],
)

POOLS = Row(
    "Warm pools",
    [
        Panel(
            "Pods of the pools",
            "Warm and starting pods, pods of an earlier template, and pods in live sessions.",
            [Query("sum by (state) (voicesession_pool_pods)", "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Hits and misses",
            "Sessions in the window that got a warm pod, and sessions that found none.",
            [increase("voicesession_pool_claims_total", "result")],
            stacked=True,
        ),
        Panel("Claim", "Duration, p50 and p99.", quantiles("voicesession_claim_seconds", 0.5, 0.99), unit="s"),
        Panel(
            "Pools with a problem",
            "Pools with fewer warm pods than warm.min, and pools whose new pods do not get warm.",
            [
                Query("sum(voicesession_pools_not_ready)", "not ready"),
                Query("sum(voicesession_pools_not_progressing)", "not progressing"),
            ],
        ),
    ],
)

ANSWERS = Row(
    "From the end of speech to the first audio",
    [
        Panel(
            "Time to an answer",
            "Measured in the agent's job; playback at the human's end adds about 0.25 s.",
            quantiles("voicesession_agent_response_seconds", 0.5, 0.9, 0.99),
            unit="s",
            limit=3,
        ),
        Panel(
            "Time to an answer by stage",
            "Mean of each stage: speech recognition, end-of-turn detection, the agent's hook (fresh memory), the "
            "first token of the model, the first audio of the voice.",
            [means("voicesession_agent_response_stage_seconds", "stage")],
            unit="s",
            stacked=True,
        ),
        Panel(
            "Answers",
            "Answered turns in the window, by VoiceAgent.",
            [increase("voicesession_agent_response_seconds_count", "voiceagent")],
        ),
    ],
)

ENDS = Row(
    "Resets and ends",
    [
        Panel(
            "Ends by reason",
            "Sessions that ended in the window.",
            [increase("voicesession_sessions_finished_total", "reason")],
            stacked=True,
        ),
        Panel(
            "Last human left until reset or removal",
            "From the last human leaving, including the grace period, until a new agent was in the room, or room and "
            "pods were gone.",
            quantiles("voicesession_last_human_seconds", 0.5, 0.9, by="until"),
            unit="s",
        ),
        Panel(
            "Teardown",
            "From the stored end of a session until room and pods were gone.",
            quantiles("voicesession_teardown_seconds", 0.5, 0.9),
            unit="s",
        ),
        Panel(
            "Resets",
            "From the stored decision until the new agent was in the room.",
            quantiles("voicesession_reset_seconds", 0.5, 0.9, 0.99),
            unit="s",
            limit=10,
        ),
        Panel(
            "Resets by cause and outcome",
            "An escalated reset took longer than 10 s and replaced the pod.",
            [increase("voicesession_resets_total", "cause", "outcome")],
            stacked=True,
        ),
        Panel(
            "Pod replacements by reason",
            "Agent pods replaced during a session in the window.",
            [increase("voicesession_agent_replacements_total", "reason")],
            stacked=True,
        ),
    ],
)

DASHBOARD = Dashboard(
    "voicesession-conversations",
    "Voice sessions: conversations",
    "Number of humans, waiting times, and how sessions end.",
    [NOW, STARTS, POOLS, ANSWERS, ENDS],
)
