"""What a person hears of the agents: every frame with its time, and when it was audible."""

import asyncio
import time
from bisect import bisect_left
from typing import Final

import numpy as np
from livekit import rtc

from voicesession_cli.sound import HEARD_RATE, Samples

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
