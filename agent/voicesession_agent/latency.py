"""The latency of an answer, by stage: livekit-agents measures every turn, and the job reports it to the supervisor."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """The stages from the end of a human's speech to the first audio of the answer, in order; also label values."""

    TRANSCRIPTION = "transcription"
    """Until the speech was recognized."""
    END_OF_TURN = "end_of_turn"
    """Until the turn was detected as finished."""
    HOOK = "hook"
    """The agent's own `on_user_turn_completed`; the assistant reads fresh memory in it."""
    LLM = "llm_first_token"
    TTS = "tts_first_audio"


RESPONSE = "response"
"""The whole response time: from the end of the human's speech to the first audio that left the job."""


class LatencyReporter:
    """Reports the measurements of every message of a conversation, never its text."""

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report

    def watch(self, session: Any) -> None:
        """Report the messages of any AgentSession, built-in or a user's own."""
        session.on("conversation_item_added", self._on_item_added)

    def _on_item_added(self, event: Any) -> None:
        metrics = getattr(event.item, "metrics", None) or {}
        seconds, spoke_at = seconds_by_stage(metrics), None
        if getattr(event.item, "role", "") == "assistant":
            spoke_at = metrics.get("started_speaking_at")
        if seconds or spoke_at is not None:
            self._report("latency", seconds=seconds, spoke_at=spoke_at)


def seconds_by_stage(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each stage, and of RESPONSE, from livekit-agents' MetricsReport.

    The first three stages belong to a human's message, the others to the answer.
    """
    transcription, turn = metrics.get("transcription_delay"), metrics.get("end_of_turn_delay")
    measured = {
        Stage.TRANSCRIPTION: transcription,
        Stage.END_OF_TURN: None if turn is None else turn - (transcription or 0.0),
        Stage.HOOK: metrics.get("on_user_turn_completed_delay"),
        Stage.LLM: metrics.get("llm_node_ttft"),
        Stage.TTS: metrics.get("tts_node_ttfb"),
        RESPONSE: metrics.get("e2e_latency"),
    }
    return {str(name): max(float(value), 0.0) for name, value in measured.items() if value is not None}
