"""A livekit plug-in of speech engines that fail their first user in a pod, in the way they are told; the next is well.

`fault` is `deaf` (all sound and no word), `failing` (an error in every turn) or `silent` (sound that nobody can hear).
"""

from pathlib import Path
from typing import Any, Final

from livekit.agents import APIConnectionError, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import RATE, PicoTTS

TAKEN: Final = Path("/tmp/ailing")  # noqa: S108  the one writable path of the container
"""There once a job of this pod has been the first."""
SILENCE: Final = bytes(2 * RATE * 6)
"""6 s: more than an agent may speak unheard."""


class First:
    """Whether its owner is the first in this pod: decided when it is first asked, since spare jobs are made early."""

    def __init__(self) -> None:
        self._answer: bool | None = None

    def __bool__(self) -> bool:
        if self._answer is None:
            self._answer = not TAKEN.exists()
            TAKEN.touch()
        return self._answer


class STT(MoonshineSTT):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault, self._first = fault, First()

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        if self._first and self._fault == "failing":
            raise APIConnectionError("out of order", retryable=False)
        heard = await super()._recognize_impl(*args, **kwargs)
        if self._first and self._fault == "deaf":
            heard.alternatives = []
        return heard


class TTS(PicoTTS):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self.first = fault, First()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        if not self.first:
            return super().synthesize(text, conn_options=conn_options)
        return _Ailing(tts=self, input_text=text, conn_options=conn_options)


class _Ailing(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, TTS)
        if self._tts.fault == "failing":
            raise APIConnectionError("out of order", retryable=False)
        output_emitter.initialize(request_id=utils.shortuuid(), sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(SILENCE)
        output_emitter.flush()
