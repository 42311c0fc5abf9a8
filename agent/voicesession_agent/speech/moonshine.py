"""Embedded speech-to-text: Moonshine tiny-en, with the weights from the moonshine-voice 0.1.0 wheel."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import moonshine_voice  # type: ignore[import-untyped]
import numpy as np
from livekit import rtc
from livekit.agents import stt, utils
from livekit.agents.language import LanguageCode
from livekit.agents.types import NOT_GIVEN, APIConnectOptions, NotGivenOr
from numpy.typing import NDArray

RATE: Final = 16000
FULL_SCALE: Final = 32768.0
NO_VAD: Final = {"vad_threshold": "0.0"}
"""Disables Moonshine's own voice detection: any other setting invents words, and LiveKit has already cut the audio."""
PHANTOM: Final = "you"
"""Moonshine transcribes silence and noise as this word."""


class MoonshineSTT(stt.STT[Any]):
    """Recognizes whole English utterances in its own thread, in 0.2 s each."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        weights = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
        self._engine = moonshine_voice.Transcriber(str(weights), moonshine_voice.ModelArch.TINY, options=NO_VAD)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="moonshine")

    @property
    def model(self) -> str:
        return "moonshine-tiny-en"

    @property
    def provider(self) -> str:
        return "moonshine"

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        text = await asyncio.get_running_loop().run_in_executor(self._thread, self._transcribe, samples(buffer))
        data = stt.SpeechData(language=LanguageCode("en"), text=text, confidence=1.0)
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT, request_id=utils.shortuuid(), alternatives=[data]
        )

    def _transcribe(self, audio: NDArray[np.float32]) -> str:
        result = self._engine.transcribe_without_streaming(audio.tolist(), RATE)
        return without_phantom([line.text for line in result.lines])


def without_phantom(lines: Sequence[str]) -> str:
    """Join the lines; return an empty string when they hold only the phantom word."""
    text = " ".join(lines).strip()
    return "" if text.lower().strip(" .") == PHANTOM else text


def samples(buffer: utils.AudioBuffer) -> NDArray[np.float32]:
    """Return the first channel at 16 kHz as floats in [-1, 1)."""
    frame = rtc.combine_audio_frames(buffer)
    if frame.sample_rate != RATE:
        resampler = rtc.AudioResampler(frame.sample_rate, RATE, num_channels=frame.num_channels)
        frame = rtc.combine_audio_frames([*resampler.push(frame), *resampler.flush()])
    pcm = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)[:, 0]
    return (pcm / FULL_SCALE).astype(np.float32)
