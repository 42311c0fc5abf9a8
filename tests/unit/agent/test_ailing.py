"""The engines that the cluster tests make agents ill with: the first of a pod is, the next one is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError
from voicesession_agent.speech.pico import PicoTTS

from tests.e2e.agents import ailing
from tests.e2e.agents.ailing import STT, TTS

TEXT = "You said: test one."
MUTE_SECONDS = 4.0


@pytest.fixture(autouse=True)
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ailing, "TAKEN", tmp_path / "taken")


async def spoken(engine: PicoTTS) -> rtc.AudioFrame:
    async with engine.synthesize(TEXT) as stream:
        return await stream.collect()


def errors_of(engine: Any) -> list[bool]:
    """Whether each error so far could be mended by another try."""
    found: list[bool] = []
    engine.on("error", lambda error: found.append(error.recoverable))
    return found


def loudest(frame: rtc.AudioFrame) -> int:
    return int(np.abs(np.frombuffer(frame.data, np.int16).astype(int)).max())


async def test_one_that_is_silent_speaks_for_long_and_makes_no_sound() -> None:
    first, second = TTS("silent"), TTS("silent")
    unheard = await spoken(first)
    assert (loudest(unheard), unheard.duration > MUTE_SECONDS) == (0, True)
    assert loudest(await spoken(second)) > 1000
    assert loudest(await spoken(first)) == 0, "it stays so"


async def test_speech_that_fails_does_so_at_once_and_beyond_repair() -> None:
    first, second = TTS("failing"), TTS("failing")
    errors = errors_of(first)
    with pytest.raises(APIConnectionError):
        await spoken(first)
    assert errors == [False]
    assert loudest(await spoken(second)) > 1000


async def test_recognition_that_fails_does_so_at_once_and_beyond_repair() -> None:
    said = await spoken(PicoTTS())
    first, second = STT("failing"), STT("deaf")
    errors = errors_of(first)
    with pytest.raises(APIConnectionError):
        await first.recognize(said)
    assert errors == [False]
    assert "test" in (await second.recognize(said)).alternatives[0].text.lower()


async def test_one_that_is_deaf_makes_out_no_word() -> None:
    said = await spoken(PicoTTS())
    assert (await STT("deaf").recognize(said)).alternatives == []
