"""Audio of the voice client: synthesis, wav files, an open microphone and a recorder."""

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

from voicesession_cli.errors import EXIT_USAGE, CommandError

Samples = npt.NDArray[np.int16]

MICROPHONE_RATE: Final = 48000
RECEIVE_RATE: Final = 16000
FRAME: Final = MICROPHONE_RATE // 100
"""Samples of one microphone frame: 10 ms."""
SPEECH_AMPLITUDE: Final = 300
"""Amplitude from which a sample of an utterance counts as speech; the silence of synthetic voices is far below."""
PICO_RATE: Final = 16000


def synthesize(text: str) -> Samples:
    """Return one sentence in the voice of SVOX Pico en-US, as `utterance()` returns it."""
    from py_nanotts import NanoTTS  # type: ignore[import-untyped]  # noqa: PLC0415  only `talk --say` needs the engine

    return utterance(np.frombuffer(NanoTTS().speak(text, voice="en-US"), np.int16), PICO_RATE)


def read_wav(path: Path) -> Samples:
    """Return a 16-bit mono file as `utterance()` does. Raises CommandError for any other file."""
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise CommandError(f"{path}: need 16-bit mono PCM", EXIT_USAGE)
            return utterance(np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate())
    except (OSError, EOFError, wave.Error) as error:
        raise CommandError(f"{path}: {error}", EXIT_USAGE) from error


def utterance(samples: Samples, rate: int) -> Samples:
    """Return the samples in whole frames at 48 kHz, cut after the last sample of speech.

    The end of the result is thus the end of speech. Raises CommandError if no sample is loud enough for speech.
    """
    resampled = samples if rate == MICROPHONE_RATE else _resample(samples, rate)
    speech = np.flatnonzero(np.abs(resampled.astype(np.int32)) > SPEECH_AMPLITUDE)
    if not speech.size:
        raise CommandError("nothing to say: the speech is empty or silent", EXIT_USAGE)
    cut = resampled[: speech[-1] + 1]
    return np.append(cut, np.zeros(-len(cut) % FRAME, np.int16))


def save_wav(path: Path, samples: Samples) -> None:
    """Write 16 kHz mono. Raises CommandError if the file cannot be written."""
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RECEIVE_RATE)
            file.writeframes(samples.tobytes())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _resample(samples: Samples, rate: int) -> Samples:
    resampler = rtc.AudioResampler(rate, MICROPHONE_RATE)
    frame = rtc.AudioFrame(samples.tobytes(), rate, 1, len(samples))
    frames = [*resampler.push(frame), *resampler.flush()]
    return np.concatenate([np.frombuffer(f.data, np.int16) for f in frames])


NOISE_AMPLITUDE: Final = 8
"""Background noise (of 32768): a real microphone never sends digital zero, and a voice detector may rely on that."""
QUEUE_MS: Final = 50


class Microphone:
    """A published track and the task that feeds it: background noise, except during an utterance."""

    def __init__(self) -> None:
        self._source = rtc.AudioSource(MICROPHONE_RATE, 1, queue_size_ms=QUEUE_MS)
        self.track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self._frames: deque[Samples] = deque()
        self._played: asyncio.Future[float] | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._random = np.random.default_rng()

    def open(self) -> None:
        """Start to feed the track."""
        self._feeder = asyncio.get_running_loop().create_task(self._feed())

    async def play(self, utterance: Samples) -> float:
        """Play whole frames of 48 kHz samples; return time.perf_counter() at the end of the last frame."""
        played: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._played = played
        self._frames.extend(utterance.reshape(-1, FRAME))
        return await played

    async def close(self) -> None:
        """Stop feeding and close the source."""
        if self._feeder:
            self._feeder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feeder
        await self._source.aclose()

    async def _feed(self) -> None:
        while True:
            samples = self._frames.popleft() if self._frames else self._noise()
            await self._source.capture_frame(rtc.AudioFrame(samples.tobytes(), MICROPHONE_RATE, 1, FRAME))
            if self._played and not self._frames:
                self._played.set_result(time.perf_counter() + self._source.queued_duration)
                self._played = None

    def _noise(self) -> Samples:
        return self._random.integers(-NOISE_AMPLITUDE, NOISE_AMPLITUDE, FRAME, dtype=np.int16)


AUDIBLE_AMPLITUDE: Final = 400
"""Amplitude from which a received frame counts as speech; comfort noise and codec artifacts stay below."""
FRAME_MS: Final = 10


class AudioRecorder:
    """Records each audio track with one reader; the track of a replaced agent is followed by its successor's."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._frames: list[Samples] = []
        self._audible: list[float] = []
        self._readers: set[asyncio.Task[None]] = set()

    def record(self, track: rtc.Track) -> None:
        """Start to record a track."""
        task = asyncio.get_running_loop().create_task(self._read(track))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    @property
    def last_audible(self) -> float | None:
        """time.perf_counter() of the last audible frame."""
        return self._audible[-1] if self._audible else None

    def first_audible(self, since: float) -> float | None:
        """Return time.perf_counter() of the first audible frame after `since`, or None."""
        index = bisect_left(self._audible, since)
        return self._audible[index] if index < len(self._audible) else None

    def between(self, begin: float, end: float) -> Samples:
        """Return the samples received between two moments of time.perf_counter(), in 16 kHz mono."""
        frames = self._frames[bisect_left(self._times, begin) : bisect_left(self._times, end)]
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)

    async def close(self) -> None:
        """Stop all readers; call it before leaving the room, or the media library aborts the process."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RECEIVE_RATE, num_channels=1, frame_size_ms=FRAME_MS)
        try:
            async for event in stream:
                self._append(np.frombuffer(event.frame.data, np.int16).copy())
        finally:
            await stream.aclose()

    def _append(self, samples: Samples) -> None:
        now = time.perf_counter()
        self._times.append(now)
        self._frames.append(samples)
        if np.abs(samples.astype(np.int32)).max(initial=0) > AUDIBLE_AMPLITUDE:
            self._audible.append(now)
