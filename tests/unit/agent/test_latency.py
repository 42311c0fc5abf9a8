"""How long an answer took, by stages, as livekit-agents tells it."""

from typing import Any

import pytest
from livekit.agents import llm
from voicesession_agent.latency import Latencies, Stage, measured

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


def test_the_stages_of_one_turn_count_from_one_another() -> None:
    assert measured(HEARD) == {"transcription": 0.5, "end_of_turn": 0.25, "hook": 0.01}
    assert measured(SPOKEN) == {"llm_first_token": 0.25, "tts_first_audio": 0.125, "response": 1.25}
    assert [*measured(HEARD), *measured(SPOKEN)][:5] == [stage.value for stage in Stage]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, {}),
        ({"tts_node_ttfb": 0.1}, {"tts_first_audio": 0.1}),
        ({"end_of_turn_delay": 0.3}, {"end_of_turn": 0.3}),
        ({"e2e_latency": -0.1}, {"response": 0.0}),
    ],
)
def test_what_was_not_measured_is_left_out(told: dict[str, Any], expected: dict[str, float]) -> None:
    assert measured(told) == expected


def test_messages_are_reported_without_their_words() -> None:
    session, reported = FakeAgentSession(), []
    Latencies(lambda kind, **facts: reported.append((kind, facts))).watch(session)
    session.emit("conversation_item_added", item=llm.ChatMessage(role="user", content=["My secret"], metrics=HEARD))
    session.emit("conversation_item_added", item=llm.ChatMessage(role="assistant", content=["Hello"]))
    session.emit("conversation_item_added", item=llm.AgentHandoff(new_agent_id="other"))
    session.emit("conversation_item_added", item=llm.ChatMessage(role="assistant", content=["Blue"], metrics=SPOKEN))
    assert reported == [
        ("latency", {"seconds": measured(HEARD), "spoke_at": None}),
        ("latency", {"seconds": measured(SPOKEN), "spoke_at": 103.25}),
    ]
