"""Who is in a room, asked of LiveKit every 20 ms: what a person in it would have noticed."""

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
    """One answer of LiveKit: `at` is the Unix time at which it came, `sids` are those who were ACTIVE."""

    at: float
    sids: frozenset[str]


class Attendance:
    """Samples one identity (the agent's) in one room from a thread of its own while the block runs."""

    def __init__(self, livekit: LiveKit, room: str, identity: str, period: float = PERIOD_SECONDS) -> None:
        self._livekit, self._room, self._identity, self._period = livekit, room, identity, period
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._sample()), daemon=True)

    def __enter__(self) -> "Attendance":
        self._thread.start()
        until(lambda: self._samples, f"LiveKit tells who is in {self._room}", READY_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(READY_SECONDS)

    @property
    def sids(self) -> frozenset[str]:
        """Everybody who was there at the last sample."""
        return self._samples[-1].sids

    def first_other_than(self, sids: frozenset[str], since: float, seconds: float) -> float:
        """Wait for somebody who is none of these; returns the Unix time of the first sample since then that has one."""
        what = f"a new {self._identity} in {self._room}"
        return until(lambda: self._other(sids, since), what, seconds, PERIOD_SECONDS).at

    def longest_absence(self, begin: float, end: float) -> float:
        """The longest time between two samples with somebody, within two Unix times; never shorter than it was."""
        there = [s.at for s in self._between(begin, end) if s.sids]
        return max(later - earlier for earlier, later in pairwise([begin, *there, end]))

    def lived(self, begin: float, end: float) -> list[str]:
        """The SIDs that were seen within two Unix times, in the order of their coming."""
        return list(dict.fromkeys(sid for s in self._between(begin, end) for sid in sorted(s.sids)))

    def _other(self, sids: frozenset[str], since: float) -> Sample | None:
        return next((s for s in self._between(since, time.time()) if s.sids - sids), None)

    def _between(self, begin: float, end: float) -> list[Sample]:
        known = list(self._samples)
        return known[bisect_left(known, begin, key=_at) : bisect_right(known, end, key=_at)]

    async def _sample(self) -> None:
        """A question that LiveKit does not answer is no sample: the absence then counts until the next answer."""
        key, url = self._livekit.key, self._livekit.url.replace("ws", "http", 1)
        request = api.ListParticipantsRequest(room=self._room)
        async with api.LiveKitAPI(url, key.key, key.secret) as livekit:
            while not self._stop.is_set():
                begun = time.monotonic()
                try:
                    found = (await livekit.room.list_participants(request)).participants
                except (api.TwirpError, OSError, TimeoutError):
                    found = None
                if found is not None:
                    self._keep({p.sid for p in found if p.identity == self._identity and p.state == ACTIVE})
                await asyncio.sleep(max(0.0, self._period - (time.monotonic() - begun)))

    def _keep(self, sids: set[str]) -> None:
        self._samples.append(Sample(time.time(), frozenset(sids)))


def _at(sample: Sample) -> float:
    return sample.at
