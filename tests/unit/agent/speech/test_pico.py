"""The embedded voice: texts that Pico cannot speak, or takes for orders."""

import pytest
from livekit.agents import tts
from voicesession_agent.speech.pico import RATE, PicoTTS

PLAIN = "Hello there friend."


async def seconds(voice: PicoTTS, text: str) -> float:
    """Return the length of the speech that livekit-agents makes of a text."""
    heard = [audio async for audio in voice.synthesize(text)]
    return sum(audio.frame.duration for audio in heard)


@pytest.mark.parametrize("text", ["\u2026", "?!", "\u2014 \u2014"])
async def test_text_without_letters_is_pause_and_no_failure(text: str) -> None:
    voice = PicoTTS()
    failures: list[tts.TTSError] = []
    voice.on("error", failures.append)
    assert 0.0 < await seconds(voice, text) < 0.5
    assert failures == []


@pytest.mark.parametrize(
    "text",
    [f"<speed level='500'>{PLAIN}</speed>", f"< speed level='20'>{PLAIN}", f"<ignore>{PLAIN}</ignore>", f"<b>{PLAIN}"],
)
async def test_markup_in_text_has_no_effect(text: str) -> None:
    voice = PicoTTS()
    assert len(await voice.speak(text)) == pytest.approx(len(await voice.speak(PLAIN)), rel=0.05)


async def test_comparison_in_text_is_no_markup() -> None:
    voice = PicoTTS()
    assert len(await voice.speak("2 < 3 and 5 > 4")) / RATE / 2 > 2
