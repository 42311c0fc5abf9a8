"""How long an agent takes to answer, by stages: livekit-agents measures every turn, and the supervisor gets to know."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """The steps from the end of a human's speech to the answer's first audio, in their order; also label values."""

    TRANSCRIPTION = "transcription"
    """Until her words were recognized."""
    END_OF_TURN = "end_of_turn"
    """Until it was decided that she had finished."""
    HOOK = "hook"
    """The agent's own `on_user_turn_completed`: the assistant asks for fresh memory in it."""
    LLM = "llm_first_token"
    TTS = "tts_first_audio"


RESPONSE = "response"
"""All of it, from the end of her speech to the first audio that left the job."""


class Latencies:
    """Reports what each message of a conversation carries of its own making; never what was said."""

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report

    def watch(self, session: Any) -> None:
        """`session` is an AgentSession, whoever wrote its agent."""
        session.on("conversation_item_added", self._added)

    def _added(self, event: Any) -> None:
        metrics = getattr(event.item, "metrics", None) or {}
        seconds, spoke_at = measured(metrics), None
        if getattr(event.item, "role", "") == "assistant":
            spoke_at = metrics.get("started_speaking_at")
        if seconds or spoke_at is not None:
            self._report("latency", seconds=seconds, spoke_at=spoke_at)


def measured(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by stage, and RESPONSE, out of livekit-agents' MetricsReport: a human's message has the first three."""
    transcription, turn = metrics.get("transcription_delay"), metrics.get("end_of_turn_delay")
    found = {
        Stage.TRANSCRIPTION: transcription,
        Stage.END_OF_TURN: None if turn is None else turn - (transcription or 0.0),
        Stage.HOOK: metrics.get("on_user_turn_completed_delay"),
        Stage.LLM: metrics.get("llm_node_ttft"),
        Stage.TTS: metrics.get("tts_node_ttfb"),
        RESPONSE: metrics.get("e2e_latency"),
    }
    return {str(name): max(float(value), 0.0) for name, value in found.items() if value is not None}
