"""Speech as samples: rates, ends, files."""

from pathlib import Path

import numpy as np
import pytest
from voicesession_cli.errors import CommandError
from voicesession_cli.voice.audio import FRAME, HEARD_RATE, MIC_RATE, Samples, read_wav, save_wav, speak, utterance


def tone(seconds: float, rate: int) -> Samples:
    return (8000 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


def silence(seconds: float, rate: int) -> Samples:
    return np.zeros(int(seconds * rate), np.int16)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_any_rate_becomes_whole_frames_that_end_with_speech(rate: int) -> None:
    result = utterance(np.concatenate([silence(0.1, rate), tone(0.5, rate), silence(2, rate)]), rate)
    assert len(result) % FRAME == 0
    assert len(result) / MIC_RATE == pytest.approx(0.6, abs=0.05)


def test_silence_is_nothing_to_say() -> None:
    with pytest.raises(CommandError, match="empty or silent"):
        utterance(silence(1, MIC_RATE), MIC_RATE)


def test_a_sentence_in_picos_voice() -> None:
    assert 0.5 < len(speak("Test one.")) / MIC_RATE < 3


def test_what_is_saved_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "reply.wav"
    save_wav(path, tone(0.5, HEARD_RATE))
    assert len(read_wav(path)) / MIC_RATE == pytest.approx(0.5, abs=0.05)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.wav"
    path.write_text("no sound")
    with pytest.raises(CommandError) as refused:
        read_wav(path)
    assert refused.value.code == 2
