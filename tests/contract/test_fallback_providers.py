"""The fallback of a provider with livekit-agents' own adapters, and engines that fail."""

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, inference, llm, stt
from voicesession_agent.health.probes import describe_failure
from voicesession_agent.settings import Provider
from voicesession_agent.speech import providers
from voicesession_agent.speech.pico import RATE as VOICE_RATE
from voicesession_agent.speech.pico import PicoTTS

from tests.support.fakes.faulty_providers import LOUD, FaultyModel, FaultyRecognizer, FaultyVoice

DEADLINE = 30.0
ONE_ATTEMPT = APIConnectOptions(max_retry=0)


@pytest.fixture(autouse=True)
def faulty_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin: Any = ModuleType("livekit.plugins.faulty")
    plugin.LLM, plugin.TTS, plugin.STT = FaultyModel, FaultyVoice, FaultyRecognizer
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)


@pytest.fixture(scope="module")
def detection() -> Iterator[inference.VAD]:
    return inference.VAD(model="silero", min_silence_duration=0.25)


def faulty(fault: str, *fallback: Provider, **options: str) -> Provider:
    return Provider(name="faulty", options={"fault": fault, **options}, fallback=fallback)


async def answer(model: llm.LLM[Any], causes: list[str]) -> str:
    """Return the model's answer, and collect the causes of its errors as the session hears them."""

    def collect(error: Any) -> None:
        causes.append(("" if error.recoverable else "failed ") + describe_failure(error.label, error.error))

    model.on("error", collect)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello?")
    async with model.chat(chat_ctx=context, conn_options=ONE_ATTEMPT) as stream:
        return "".join([chunk.delta.content or "" async for chunk in stream if chunk.delta])


async def test_second_model_answers_while_first_fails() -> None:
    causes: list[str] = []
    model = providers.make_llm(faulty("500", faulty("429"), faulty("", answer="Third.")))
    assert await answer(model, causes) == "Third."
    assert set(causes) == {"faulty_providers: 500 Internal Server Error", "faulty_providers: 429 Too Many Requests"}


async def test_failure_of_all_models_names_cause_of_each() -> None:
    causes: list[str] = []
    model = providers.make_llm(faulty("500", faulty("401")))
    with pytest.raises(APIConnectionError):
        await answer(model, causes)
    assert set(causes) == {
        "faulty_providers: 500 Internal Server Error",
        "faulty_providers: 401 Unauthorized",
        "failed ",
    }


async def test_second_voice_speaks_while_first_fails() -> None:
    voice = providers.make_tts(faulty("503", faulty("")))
    async with voice.synthesize("Hello.", conn_options=ONE_ATTEMPT) as stream:
        heard = b"".join([bytes(event.frame.data) async for event in stream])
    assert LOUD in heard


async def test_second_recognizer_hears_next_speech_after_first_fails(detection: inference.VAD) -> None:
    """The speech in which a recognizer fails is lost: its sound is not sent again."""
    recognizer = providers.make_stt(faulty("503", faulty("")), detection)
    speech = await PicoTTS().speak("My name is Alice, and I live in Berlin.")
    sound = speech + bytes(2 * VOICE_RATE)

    async def talk(stream: stt.RecognizeStream) -> None:
        while True:
            stream.push_frame(rtc.AudioFrame(sound, VOICE_RATE, 1, len(sound) // 2))
            await asyncio.sleep(0.5)

    async with asyncio.timeout(DEADLINE), recognizer.stream(conn_options=ONE_ATTEMPT) as stream:
        talking = asyncio.create_task(talk(stream))
        heard = [await anext(event.alternatives[0].text async for event in stream if event.alternatives)]
        talking.cancel()
    assert heard == ["hello"]


def test_embedded_and_remote_voices_share_adapter() -> None:
    voice = providers.make_tts(Provider(name="openai", api_key="x", fallback=(Provider(name="pico"),)))
    assert describe_failure(voice.label, ValueError()) == ""
    assert voice.sample_rate == providers.make_tts(Provider(name="openai", api_key="x")).sample_rate
