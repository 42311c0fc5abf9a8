"""A livekit plugin of speech engines that fail, and then work.

`fault` is `deaf` (no words in any sound, for the first user in a pod), `failing` (an error in each of the first turns)
or `silent` (speech without sound in each of the first turns).
"""

from pathlib import Path
from typing import Any, Final

from livekit.agents import APIConnectionError, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import RATE, PicoTTS

MARKER: Final = Path("/tmp/faulty")  # noqa: S108  the only writable path of the container
"""Exists once a job of this pod has been the first user."""
SILENCE: Final = bytes(2 * RATE * 2)
"""2 s: more than the silence of a few words."""
FAILURES: Final = 3
"""Failed turns before an engine works: as many as make a provider failing."""


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
        self._fault, self._first, self._turns = fault, FirstUser(), 0

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        self._turns += 1
        if self._fault == "failing" and self._turns <= FAILURES:
            raise APIConnectionError("out of order", retryable=False)
        event = await super()._recognize_impl(*args, **kwargs)
        if self._fault == "deaf" and self._first:
            event.alternatives = []
        return event


class TTS(PicoTTS):
    """Text-to-speech with the fault `silent` or `failing`."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self._turns = fault, 0

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        self._turns += 1
        if self._turns > FAILURES:
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
