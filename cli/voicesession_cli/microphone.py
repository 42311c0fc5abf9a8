"""An open microphone: near-silence, unless there is something to say."""

import asyncio
import contextlib
import time
from collections import deque
from typing import Final

import numpy as np
from livekit import rtc

from voicesession_cli.sound import FRAME, MIC_RATE, Samples

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
