"""Embedded text-to-speech: SVOX Pico, with the voices from the py-nanotts wheel."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from livekit.agents import tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from py_nanotts import NanoTTS  # type: ignore[import-untyped]

RATE: Final = 16000
VOICES: Final = ("en-US", "en-GB", "de-DE", "es-ES", "fr-FR", "it-IT")
PAUSE: Final = bytes(RATE // 10 * 2)
"""A tenth of a second of silence: livekit-agents takes a text without any sound for a failure."""
_TAG: Final = re.compile(r"<\s*/?\s*[A-Za-z][^<>]*>")
"""Markup, which Pico obeys: `<speed level="500">`, `<ignore>`."""


class PicoTTS(tts.TTS[Any]):
    """Synthesizes a sentence in about 20 ms, in its own thread. `voice` is one of VOICES."""

    def __init__(self, voice: str = VOICES[0]) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)
        self._voice = voice
        self._engine = NanoTTS()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pico")

    @property
    def model(self) -> str:
        return f"svox-pico-{self._voice}"

    @property
    def provider(self) -> str:
        return "pico"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Return the stream of one sentence."""
        return _SentenceStream(self, text, conn_options)

    async def speak(self, text: str) -> bytes:
        """Return the speech as 16 kHz mono 16-bit PCM."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._speak, text)

    def _speak(self, text: str) -> bytes:
        """Speak a text without its markup; one without letters and digits is a pause."""
        plain = _TAG.sub(" ", text)
        if not any(map(str.isalnum, plain)):
            return PAUSE
        return bytes(self._engine.speak(plain, voice=self._voice))


class _SentenceStream(tts.ChunkedStream):
    def __init__(self, engine: PicoTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=engine, input_text=text, conn_options=conn_options)
        self._engine = engine

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id=utils.shortuuid(), sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(await self._engine.speak(self.input_text))
        output_emitter.flush()
