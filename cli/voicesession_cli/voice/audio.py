"""An open microphone: near-silence, unless there is something to say."""

import asyncio
import contextlib
import time
import wave
from bisect import bisect_left
from collections import deque
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


NOISE: Final = 8
"""Amplitude of the room's noise (of 32768): no real microphone sends digital zero, and a detector may count on that."""
QUEUE_MS: Final = 50


class Microphone:
    """A published track and the one task that feeds it."""

    def __init__(self) -> None:
        self._source = rtc.AudioSource(MIC_RATE, 1, queue_size_ms=QUEUE_MS)
        self.track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self._frames: deque[Samples] = deque()
        self._said: asyncio.Future[float] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._random = np.random.default_rng()

    def open(self) -> None:
        self._pump = asyncio.get_running_loop().create_task(self._feed())

    async def say(self, utterance: Samples) -> float:
        """Queue whole frames of 48 kHz samples; returns time.perf_counter() of the last one leaving."""
        said: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._said = said
        self._frames.extend(utterance.reshape(-1, FRAME))
        return await said

    async def close(self) -> None:
        if self._pump:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        await self._source.aclose()

    async def _feed(self) -> None:
        while True:
            samples = self._frames.popleft() if self._frames else self._noise()
            await self._source.capture_frame(rtc.AudioFrame(samples.tobytes(), MIC_RATE, 1, FRAME))
            if self._said and not self._frames:
                self._said.set_result(time.perf_counter() + self._source.queued_duration)
                self._said = None

    def _noise(self) -> Samples:
        return self._random.integers(-NOISE, NOISE, FRAME, dtype=np.int16)


AUDIBLE: Final = 400
"""Amplitude from which a received frame counts as speech; comfort noise and codec artifacts stay below."""
FRAME_MS: Final = 10


class Recorder:
    """One reader per audio track; an agent that is replaced brings a new track and is heard on."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._frames: list[Samples] = []
        self._audible: list[float] = []
        self._readers: set[asyncio.Task[None]] = set()

    def record(self, track: rtc.Track) -> None:
        task = asyncio.get_running_loop().create_task(self._read(track))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    @property
    def last_audible(self) -> float | None:
        """time.perf_counter() of the last audible frame."""
        return self._audible[-1] if self._audible else None

    def first_audible(self, since: float) -> float | None:
        """time.perf_counter() of the first audible frame after `since`."""
        index = bisect_left(self._audible, since)
        return self._audible[index] if index < len(self._audible) else None

    def between(self, begin: float, end: float) -> Samples:
        """16 kHz mono, everything received between two moments of time.perf_counter()."""
        frames = self._frames[bisect_left(self._times, begin) : bisect_left(self._times, end)]
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)

    async def close(self) -> None:
        """Readers end before the room does: the media library aborts the process otherwise."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=HEARD_RATE, num_channels=1, frame_size_ms=FRAME_MS)
        try:
            async for event in stream:
                self._keep(np.frombuffer(event.frame.data, np.int16).copy())
        finally:
            await stream.aclose()

    def _keep(self, samples: Samples) -> None:
        now = time.perf_counter()
        self._times.append(now)
        self._frames.append(samples)
        if np.abs(samples.astype(np.int32)).max(initial=0) > AUDIBLE:
            self._audible.append(now)
