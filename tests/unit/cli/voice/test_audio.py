"""Audio samples: rates, the end of speech, wav files."""

from pathlib import Path

import numpy as np
import pytest
from voicesession_cli.errors import CommandError
from voicesession_cli.voice.audio import (
    FRAME,
    MICROPHONE_RATE,
    RECEIVE_RATE,
    Samples,
    read_wav,
    save_wav,
    synthesize,
    utterance,
)


def tone(seconds: float, rate: int) -> Samples:
    return (8000 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


def silence(seconds: float, rate: int) -> Samples:
    return np.zeros(int(seconds * rate), np.int16)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_utterance_of_any_rate_is_cut_after_speech(rate: int) -> None:
    result = utterance(np.concatenate([silence(0.1, rate), tone(0.5, rate), silence(2, rate)]), rate)
    assert len(result) % FRAME == 0
    assert len(result) / MICROPHONE_RATE == pytest.approx(0.6, abs=0.05)


def test_silent_utterance_is_an_error() -> None:
    with pytest.raises(CommandError, match="empty or silent"):
        utterance(silence(1, MICROPHONE_RATE), MICROPHONE_RATE)


def test_synthesized_sentence_has_plausible_duration() -> None:
    assert 0.5 < len(synthesize("Test one.")) / MICROPHONE_RATE < 3


def test_saved_wav_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "reply.wav"
    save_wav(path, tone(0.5, RECEIVE_RATE))
    assert len(read_wav(path)) / MICROPHONE_RATE == pytest.approx(0.5, abs=0.05)


def test_file_without_sound_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "not.wav"
    path.write_text("no sound")
    with pytest.raises(CommandError) as refused:
        read_wav(path)
    assert refused.value.code == 2
