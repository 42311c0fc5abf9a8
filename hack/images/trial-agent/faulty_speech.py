"""A livekit plugin of speech engines that fail for the first user in a pod and work for the next one.

`fault` is `deaf` (no words in any sound), `failing` (an error in every turn) or `silent` (speech without sound).
"""

from pathlib import Path
from typing import Any, Final

from livekit.agents import APIConnectionError, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import RATE, PicoTTS

MARKER: Final = Path("/tmp/faulty")  # noqa: S108  the only writable path of the container
"""Exists once a job of this pod has been the first user."""
SILENCE: Final = bytes(2 * RATE * 6)
"""6 s: longer than an agent may speak unheard."""


class FirstUser:
    """True for the first user in this pod, decided at the first use: spare jobs create their engines early."""

    def __init__(self) -> None:
        self._is_first: bool | None = None

    def __bool__(self) -> bool:
        if self._is_first is None:
            self._is_first = not MARKER.exists()
            MARKER.touch()
        return self._is_first


class STT(MoonshineSTT):
    """Speech-to-text with the fault `deaf` or `failing`."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault, self._first = fault, FirstUser()

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        if self._first and self._fault == "failing":
            raise APIConnectionError("out of order", retryable=False)
        event = await super()._recognize_impl(*args, **kwargs)
        if self._first and self._fault == "deaf":
            event.alternatives = []
        return event


class TTS(PicoTTS):
    """Text-to-speech with the fault `silent` or `failing`."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self.first = fault, FirstUser()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        if not self.first:
            return super().synthesize(text, conn_options=conn_options)
        return _FaultyStream(tts=self, input_text=text, conn_options=conn_options)


class _FaultyStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, TTS)
        if self._tts.fault == "failing":
            raise APIConnectionError("out of order", retryable=False)
        output_emitter.initialize(request_id=utils.shortuuid(), sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(SILENCE)
        output_emitter.flush()
