"""The assistant's watch over its providers: spoken lines while one is slow or fails, and its failures and successes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from livekit import rtc
from livekit.agents import AgentSession, FlushSentinel, llm

from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.settings import AgentSpec

WAIT_SECONDS: Final = 5.0
"""Silence before the wait prompt: a person on a telephone asks "hello?" about then."""
ATTEMPT_SECONDS: Final = 15.0
"""Time of one attempt of a language model. It is also the longest pause within an answer."""
SILENCE_PEAK: Final = 100
"""Largest sample of silence: -50 dB of full scale, below every voice and above the noise of an encoder."""
SILENCE_SECONDS: Final = 1.0
"""A shorter answer may be silent: punctuation, for instance."""
NO_ANSWER: Final = "no answer"
EMPTY: Final = "empty answer"
SILENT: Final = "silent speech"

Chunk = llm.ChatChunk | str | FlushSentinel


@dataclass(frozen=True)
class SpokenLines:
    """The lines that the assistant says about its providers; an empty one is not said."""

    wait: str
    apology: str


ENGLISH: Final = SpokenLines("One moment please.", "Sorry, I cannot answer right now. Please try again in a moment.")
LINES: Final = {
    "de": SpokenLines(
        "Einen Moment bitte.",
        "Entschuldigung, ich kann gerade nicht antworten. Bitte versuchen Sie es gleich noch einmal.",
    ),
    "es": SpokenLines(
        "Un momento, por favor.", "Lo siento, ahora no puedo responder. Inténtelo de nuevo en un momento, por favor."
    ),
    "fr": SpokenLines(
        "Un instant, s'il vous plaît.", "Désolé, je ne peux pas répondre pour le moment. Veuillez réessayer bientôt."
    ),
    "it": SpokenLines("Un momento, per favore.", "Mi dispiace, ora non posso rispondere. Riprovi tra un momento."),
    "nl": SpokenLines("Een moment alstublieft.", "Sorry, ik kan nu niet antwoorden. Probeer het zo nog eens."),
    "pt": SpokenLines("Um momento, por favor.", "Desculpe, não posso responder agora. Tente novamente em instantes."),
}
"""The built-in lines by language; every other language has the English ones."""


def spoken_lines(spec: AgentSpec) -> SpokenLines:
    """Return the lines of the VoiceAgent, or the built-in ones in the language of its speech."""
    language = spec.tts.language or spec.tts.voice or spec.stt.language
    built_in = LINES.get(language.lower().partition("-")[0], ENGLISH)
    return SpokenLines(
        wait=built_in.wait if spec.wait_prompt is None else spec.wait_prompt,
        apology=built_in.apology if spec.apology is None else spec.apology,
    )


class ProviderWatch:
    """Passes on what the providers deliver, reports it to `health`, and adds the spoken lines.

    `wait_seconds` pass without a first token before the wait prompt, and `attempt_seconds` more before the apology.
    """

    def __init__(
        self,
        health: HealthMonitor,
        lines: SpokenLines,
        wait_seconds: float = WAIT_SECONDS,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._health = health
        self._lines = lines
        self._wait_seconds = wait_seconds
        self._attempt_seconds = attempt_seconds
        self._apology: Any = None
        self._has_human_spoken = False

    def watch(self, session: "AgentSession[Any]") -> None:
        """Apologize for speech that the recognizer failed to recognize."""
        session.on("user_state_changed", self._on_user_state_changed)
        session.on("error", lambda event: self._on_error(session, event.error))

    async def answer(
        self, chunks: AsyncGenerator[Chunk, None], label: str, *, may_be_empty: bool
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the chunks of an answer, and the spoken lines where they are due.

        `label` is livekit-agents' label of the model. An error of the model is replaced by the apology, if there is
        one; the model has reported it to the session before. After a part of an answer, the apology is a sentence of
        its own.
        """
        head: list[Chunk] = []
        first = asyncio.create_task(_read_until_response(chunks, head))
        is_slow = has_begun = False
        try:
            if not await _is_done(first, self._wait_seconds):
                is_slow = True
                for chunk in self._wait_prompt():
                    yield chunk
                await _is_done(first, self._attempt_seconds)
            if not first.done() or not (await first or may_be_empty):
                self._health.provider_failed("llm", label, EMPTY if first.done() else NO_ANSWER)
                is_slow = False
                yield self._lines.apology
                return
            self._health.provider_succeeded("llm")
            has_begun = True
            for chunk in head:
                yield chunk
            async for chunk in chunks:
                yield chunk
        except Exception:
            if not self._lines.apology:
                raise
            is_slow = False
            for chunk in self._late_apology() if has_begun else [self._lines.apology]:
                yield chunk
        finally:
            if is_slow and not first.done():  # the human lost patience and spoke
                self._health.provider_failed("llm", label, NO_ANSWER)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await chunks.aclose()

    async def speech(self, frames: AsyncIterable[rtc.AudioFrame], label: str) -> AsyncIterator[rtc.AudioFrame]:
        """Yield the frames of an answer, and report whether there was sound in them."""
        silence = 0.0
        is_audible = False
        async for frame in frames:
            if not is_audible and _peak(frame) > SILENCE_PEAK:
                is_audible = True
                self._health.provider_succeeded("tts")
            silence += frame.duration
            yield frame
        if not is_audible and silence >= SILENCE_SECONDS:
            self._health.provider_failed("tts", label, SILENT)

    def _wait_prompt(self) -> list[Chunk]:
        """Return the wait prompt; a sentinel lets the voice speak it at once."""
        return [f"{self._lines.wait} ", FlushSentinel()] if self._lines.wait else []

    def _late_apology(self) -> list[Chunk]:
        """Return the apology after a part of an answer; the sentinel ends the part, which may be half a word."""
        return [" ", FlushSentinel(), self._lines.apology]

    def _on_user_state_changed(self, event: Any) -> None:
        self._has_human_spoken = self._has_human_spoken or event.new_state == "speaking"

    def _on_error(self, session: "AgentSession[Any]", error: Any) -> None:
        """Apologize once for each time that the human spoke: a recognizer also fails in silence."""
        if error.type != "stt_error" or error.recoverable or not self._lines.apology or not self._has_human_spoken:
            return
        self._has_human_spoken = False
        if self._apology is None or self._apology.done():
            self._apology = session.say(self._lines.apology, add_to_chat_ctx=False)


async def _read_until_response(chunks: AsyncGenerator[Chunk, None], head: list[Chunk]) -> bool:
    """Read chunks into `head` up to the first one with text or a tool call; return False if there is none."""
    async for chunk in chunks:
        head.append(chunk)
        if chunk.has_response() if isinstance(chunk, llm.ChatChunk) else isinstance(chunk, str) and bool(chunk):
            return True
    return False


async def _is_done(task: "asyncio.Task[bool]", seconds: float) -> bool:
    done, _ = await asyncio.wait((task,), timeout=seconds)
    return bool(done)


def _peak(frame: rtc.AudioFrame) -> int:
    """Return the largest sample of a frame of 16-bit PCM, without its sign."""
    samples = np.frombuffer(frame.data, np.int16).astype(np.int32)
    return int(np.abs(samples).max(initial=0))
