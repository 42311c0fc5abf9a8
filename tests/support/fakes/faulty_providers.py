"""Providers of livekit-agents that fail as a test demands."""

import asyncio
from typing import Any

from livekit.agents import APIConnectOptions, APIStatusError, llm, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN

RATE = 16000
LOUD = b"\x00\x40" * (RATE // 10)
"""A tenth of a second of sound."""
SILENCE = bytes(2 * RATE * 2)
"""Two seconds of silence."""


def refusal(status: int) -> APIStatusError:
    """Return the error of a provider that refuses a request; its text must reach no log and no condition."""
    return APIStatusError("the prompt", status_code=status, retryable=False, body={"message": "the prompt"})


class FaultyModel(llm.LLM[Any]):
    """A language model that answers "Fine." unless it has a fault: a status, `hang` or `empty`."""

    def __init__(self, fault: str = "", answer: str = "Fine.") -> None:
        super().__init__()
        self.fault = fault
        self.answer = answer
        self.contexts: list[llm.ChatContext] = []

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        self.contexts.append(chat_ctx)
        return FaultyAnswer(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options or APIConnectOptions(), model=self
        )


class FaultyAnswer(llm.LLMStream):
    """One answer of a FaultyModel."""

    def __init__(self, owner: FaultyModel, *, model: FaultyModel, **options: Any) -> None:
        super().__init__(owner, **options)
        self._model = model

    async def _run(self) -> None:
        if self._model.fault == "hang":
            await asyncio.Event().wait()
        if self._model.fault.isdecimal():
            raise refusal(int(self._model.fault))
        if self._model.fault != "empty":
            delta = llm.ChoiceDelta(role="assistant", content=self._model.answer)
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class FaultyVoice(tts.TTS[Any]):
    """A voice that gives sound unless it has a fault: a status or `silent`."""

    def __init__(self, fault: str = "") -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)
        self.fault = fault
        self.texts: list[str] = []

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        self.texts.append(text)
        return FaultySpeech(tts=self, input_text=text, conn_options=conn_options)


class FaultySpeech(tts.ChunkedStream):
    """The speech of one text of a FaultyVoice."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, FaultyVoice)
        if self._tts.fault.isdecimal():
            raise refusal(int(self._tts.fault))
        output_emitter.initialize(request_id="1", sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(SILENCE if self._tts.fault == "silent" else LOUD)
        output_emitter.flush()


class FaultyRecognizer(stt.STT[Any]):
    """A recognizer that hears "hello" in every sound unless its fault is a status."""

    def __init__(self, fault: str = "") -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.fault = fault

    async def _recognize_impl(self, buffer: Any, *, language: Any = NOT_GIVEN, conn_options: Any) -> stt.SpeechEvent:
        if self.fault:
            raise refusal(int(self.fault))
        heard = stt.SpeechData(language="en", text="hello")  # type: ignore[arg-type] # a tag is enough
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])
