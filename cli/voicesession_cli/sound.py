"""Speech as samples: 48 kHz for the microphone, 16 kHz for what is heard."""

import wave
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from livekit import rtc

from voicesession_cli.errors import USAGE, CommandError

Samples = npt.NDArray[np.int16]

MIC_RATE: Final = 48000
HEARD_RATE: Final = 16000
FRAME: Final = MIC_RATE // 100
"""One microphone frame: 10 ms."""
SPOKEN: Final = 300
"""Amplitude from which a sample of an utterance counts as spoken; synthetic voices' silence stays well below."""
PICO_RATE: Final = 16000


def speak(text: str) -> Samples:
    """One sentence in the voice of SVOX Pico en-US, as `utterance()` returns it."""
    from py_nanotts import NanoTTS  # type: ignore[import-untyped]  # noqa: PLC0415  the engine loads only when asked

    return utterance(np.frombuffer(NanoTTS().speak(text, voice="en-US"), np.int16), PICO_RATE)


def read_wav(path: Path) -> Samples:
    """A 16-bit mono wav of any rate, as `utterance()` returns it. Raises CommandError for any other file."""
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise CommandError(f"{path}: need 16-bit mono PCM", USAGE)
            return utterance(np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate())
    except (OSError, EOFError, wave.Error) as error:
        raise CommandError(f"{path}: {error}", USAGE) from error


def utterance(samples: Samples, rate: int) -> Samples:
    """Resampled to 48 kHz and cut after the last spoken sample, so that its end is the end of speech; whole frames.

    Raises CommandError when nothing in it is loud enough to be speech.
    """
    at_mic = samples if rate == MIC_RATE else _resample(samples, rate)
    spoken = np.flatnonzero(np.abs(at_mic.astype(np.int32)) > SPOKEN)
    if not spoken.size:
        raise CommandError("nothing to say: the speech is empty or silent", USAGE)
    cut = at_mic[: spoken[-1] + 1]
    return np.append(cut, np.zeros(-len(cut) % FRAME, np.int16))


def save_wav(path: Path, heard: Samples) -> None:
    """Write 16 kHz mono. Raises CommandError where the file cannot be written."""
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(HEARD_RATE)
            file.writeframes(heard.tobytes())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _resample(samples: Samples, rate: int) -> Samples:
    resampler = rtc.AudioResampler(rate, MIC_RATE)
    frame = rtc.AudioFrame(samples.tobytes(), rate, 1, len(samples))
    frames = [*resampler.push(frame), *resampler.flush()]
    return np.concatenate([np.frombuffer(f.data, np.int16) for f in frames])
