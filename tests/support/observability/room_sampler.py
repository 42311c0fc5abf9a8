"""Samples of a room's agent from LiveKit every 20 ms: the room from a human's point of view."""

import asyncio
import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

from livekit import api

from tests.support.cluster.rooms import ACTIVE, LiveKit
from tests.support.polling import until

PERIOD_SECONDS = 0.02
READY_SECONDS = 10


@dataclass(frozen=True)
class Sample:
    """One answer of LiveKit: the Unix time of its arrival, and the SIDs of ACTIVE participants."""

    at: float
    sids: frozenset[str]


class RoomSampler:
    """Samples one identity (the agent's) in one room, in a thread, while the block runs."""

    def __init__(
        self, livekit: LiveKit, room: str, identity: str, period: float = PERIOD_SECONDS, *, speaking: bool = False
    ) -> None:
        """`speaking` leaves out a participant without a published track."""
        self._livekit, self._room, self._identity, self._period = livekit, room, identity, period
        self._speaking = speaking
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._sample()), daemon=True)

    def __enter__(self) -> "RoomSampler":
        self._thread.start()
        until(lambda: self._samples, f"first sample of {self._room}", READY_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(READY_SECONDS)

    @property
    def sids(self) -> frozenset[str]:
        """Return the SIDs in the last sample."""
        return self._samples[-1].sids

    def wait_for_new_sid(self, sids: frozenset[str], since: float, seconds: float) -> float:
        """Wait for a SID other than these; return the Unix time of the first sample since then that has one."""
        description = f"a new {self._identity} in {self._room}"
        return until(lambda: self._first_new(sids, since), description, seconds, PERIOD_SECONDS).at

    def longest_gap(self, begin: float, end: float) -> float:
        """Return the longest time between two samples with an agent: an upper bound of the time without one."""
        times = [s.at for s in self._between(begin, end) if s.sids]
        return max(later - earlier for earlier, later in pairwise([begin, *times, end]))

    def seen_sids(self, begin: float, end: float) -> list[str]:
        """Return the SIDs between two Unix times in the order of their first sample."""
        return list(dict.fromkeys(sid for s in self._between(begin, end) for sid in sorted(s.sids)))

    def _first_new(self, sids: frozenset[str], since: float) -> Sample | None:
        return next((s for s in self._between(since, time.time()) if s.sids - sids), None)

    def _between(self, begin: float, end: float) -> list[Sample]:
        known = list(self._samples)
        return known[bisect_left(known, begin, key=_at) : bisect_right(known, end, key=_at)]

    async def _sample(self) -> None:
        """Sample until stopped; a failed request is no sample, so a gap lasts until the next answer."""
        key, url = self._livekit.key, self._livekit.url.replace("ws", "http", 1)
        request = api.ListParticipantsRequest(room=self._room)
        async with api.LiveKitAPI(url, key.key, key.secret) as livekit:
            while not self._stop.is_set():
                start = time.monotonic()
                try:
                    found = (await livekit.room.list_participants(request)).participants
                except (api.TwirpError, OSError, TimeoutError):
                    found = None
                if found is not None:
                    active = (p for p in found if p.identity == self._identity and p.state == ACTIVE)
                    self._append({p.sid for p in active if p.tracks or not self._speaking})
                await asyncio.sleep(max(0.0, self._period - (time.monotonic() - start)))

    def _append(self, sids: set[str]) -> None:
        self._samples.append(Sample(time.time(), frozenset(sids)))


def _at(sample: Sample) -> float:
    return sample.at
