"""Latency of an answer by stage, from livekit-agents' measurements."""

from typing import Any

import pytest
from livekit.agents import llm
from voicesession_agent.job.room_reporter import LatencyReporter, seconds_by_stage
from voicesession_agent.protocol import Stage

from tests.support.fakes.room import FakeAgentSession

HEARD: llm.MetricsReport = {
    "started_speaking_at": 100.0,
    "stopped_speaking_at": 102.0,
    "transcription_delay": 0.5,
    "end_of_turn_delay": 0.75,
    "on_user_turn_completed_delay": 0.01,
}
SPOKEN: llm.MetricsReport = {
    "started_speaking_at": 103.25,
    "llm_node_ttft": 0.25,
    "tts_node_ttfb": 0.125,
    "e2e_latency": 1.25,
    "llm_node_tps": 40.0,
}


def test_seconds_by_stage_of_turn_are_consecutive() -> None:
    assert seconds_by_stage(HEARD) == {"transcription": 0.5, "end_of_turn": 0.25, "hook": 0.01}
    assert seconds_by_stage(SPOKEN) == {"llm_first_token": 0.25, "tts_first_audio": 0.125, "response": 1.25}
    assert [*seconds_by_stage(HEARD), *seconds_by_stage(SPOKEN)][:5] == [stage.value for stage in Stage]


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({}, {}),
        ({"tts_node_ttfb": 0.1}, {"tts_first_audio": 0.1}),
        ({"end_of_turn_delay": 0.3}, {"end_of_turn": 0.3}),
        ({"e2e_latency": -0.1}, {"response": 0.0}),
    ],
)
def test_seconds_by_stage_omits_missing_measurements(metrics: dict[str, Any], expected: dict[str, float]) -> None:
    assert seconds_by_stage(metrics) == expected


def test_reporter_sends_measurements_without_text() -> None:
    session, reported = FakeAgentSession(), []
    LatencyReporter(lambda kind, **facts: reported.append((kind, facts))).watch(session)
    session.emit("conversation_item_added", item=llm.ChatMessage(role="user", content=["My secret"], metrics=HEARD))
    session.emit("conversation_item_added", item=llm.ChatMessage(role="assistant", content=["Hello"]))
    session.emit("conversation_item_added", item=llm.AgentHandoff(new_agent_id="other"))
    session.emit("conversation_item_added", item=llm.ChatMessage(role="assistant", content=["Blue"], metrics=SPOKEN))
    assert reported == [
        ("latency", {"seconds": seconds_by_stage(HEARD), "spoke_at": None}),
        ("latency", {"seconds": seconds_by_stage(SPOKEN), "spoke_at": 103.25}),
    ]
