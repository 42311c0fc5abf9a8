"""What people have of it: how many talk, how long they wait for a session and for an answer, and how calls end."""

from hack.dashboards.grafana import Dashboard, Panel, Query, Row, means, quantiles, rise

FAILED = '{reason=~"StartDeadline|Invalid|AgentLost|RoomLost"}'
"""Ends that nobody wanted."""
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
        Panel("Humans", "People in the rooms.", [Query("sum(voicesession_humans)")], kind="stat", width=4),
        Panel(
            "Sessions in trouble",
            "Sessions that were Ready and lack room, agent, health or memory now. One that lacks two counts twice.",
            [Query("sum(voicesession_sessions_degraded)")],
            kind="stat",
            width=4,
            limit=1,
        ),
        Panel(
            "Time to Ready, p90",
            "Creation of a session until its agent is in the room.",
            quantiles("voicesession_ready_seconds", 0.9),
            unit="s",
            kind="stat",
            width=4,
            limit=30,
        ),
        Panel(
            "Time to an answer, p90",
            "End of a human's speech to the answer's first audio.",
            quantiles("voicesession_agent_response_seconds", 0.9),
            unit="s",
            kind="stat",
            width=4,
            limit=3,
        ),
        Panel(
            "Failed sessions",
            "Ended because their agent never came (StartDeadline, Invalid), or it or their room was lost (AgentLost, "
            "RoomLost), in the window.",
            [rise("voicesession_sessions_finished_total", where=FAILED)],
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
            "Creation of a session until its agent is in the room; up to 1 s too long, since creation times are whole "
            "seconds.",
            quantiles("voicesession_ready_seconds", 0.5, 0.9, 0.99),
            unit="s",
            limit=30,
        ),
        Panel(
            "Where it goes",
            "Mean of each stage. process_started is Kubernetes' share (scheduling, image, container), models_loaded "
            "and joined the agent's; all others are the operator's.",
            [means("voicesession_start_stage_seconds", "stage")],
            unit="s",
            stacked=True,
        ),
        Panel(
            "Sessions by phase",
            "As the leading operator knows them.",
            [Query("sum by (phase) (voicesession_sessions)", "{{phase}}")],
            stacked=True,
        ),
    ],
)

ANSWERS = Row(
    "From the end of speech to the first audio",
    [
        Panel(
            "Time to an answer",
            "As the agent's job measures it; the way to the human's ear adds about 0.25 s.",
            quantiles("voicesession_agent_response_seconds", 0.5, 0.9, 0.99),
            unit="s",
            limit=3,
        ),
        Panel(
            "Where it goes",
            "Mean of each stage: recognition, deciding that she has finished, the agent's own hook (fresh memory), the "
            "model's first token, the voice's first audio.",
            [means("voicesession_agent_response_stage_seconds", "stage")],
            unit="s",
            stacked=True,
        ),
        Panel(
            "Answers",
            "Turns that were answered in the window, by VoiceAgent.",
            [rise("voicesession_agent_response_seconds_count", "voiceagent")],
        ),
    ],
)

ENDS = Row(
    "When they leave",
    [
        Panel(
            "Ends by reason",
            "Sessions that ended in the window.",
            [rise("voicesession_sessions_finished_total", "reason")],
            stacked=True,
        ),
        Panel(
            "Last human until reset or nothing left",
            "From her leaving, the grace included, until a new agent was in the room, or room and pods were gone.",
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
            "Escalated ones took longer than 10 s and cost the pod.",
            [rise("voicesession_resets_total", "cause", "outcome")],
            stacked=True,
        ),
        Panel(
            "Pods replaced, by reason",
            "Agent pods that were lost or given up in the middle of a session.",
            [rise("voicesession_agent_replacements_total", "reason")],
            stacked=True,
        ),
    ],
)

DASHBOARD = Dashboard(
    "voicesession-conversations",
    "Voice sessions: conversations",
    "How many people talk, how long they wait, and how calls end.",
    [NOW, STARTS, ANSWERS, ENDS],
)
