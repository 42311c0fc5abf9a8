"""A simulation of a pool: arrivals, refills and the size, second by second, without a cluster."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from voicesession_operator.domain.pool_size import LONG_SECONDS, Recommendations, held_pods, hold, needed_pods

DAY = 86_400
OUTAGE = range(15 * 3600, 15 * 3600 + 600)
"""Ten minutes in which no pod gets warm."""
BURST_AT, BURST = 14 * 3600, 50
REFILL_SECONDS, JITTER_SECONDS = 6.0, 2.0

Size = Callable[[deque[float], float], int]
"""Returns the desired number of warm pods from the arrivals (seconds) and the time."""


@dataclass(frozen=True)
class Result:
    """The result of one simulated time."""

    arrivals: int
    hits: int
    mean: float
    """Mean number of pods that were warm or starting."""
    most: int

    @property
    def hit_rate(self) -> float:
        """Return the share of arrivals that found a warm pod."""
        return self.hits / self.arrivals if self.arrivals else 1.0


class Autoscaler:
    """The size as the operator computes it, within bounds."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum, self._maximum = minimum, maximum
        self._recommendations: Recommendations = ()

    def __call__(self, arrivals: deque[float], now: float) -> int:
        needed = needed_pods(arrivals, REFILL_SECONDS + JITTER_SECONDS, now)
        self._recommendations = hold(self._recommendations, needed, now)
        return min(max(held_pods(self._recommendations), self._minimum), self._maximum)


def rate_of_day(second: int) -> float:
    """Return the arrivals per second: a quiet night, a ramp to 20 a minute at noon, and an evening."""
    hour = second / 3600
    if hour < 7 or hour >= 22:
        return 1 / 3600
    if hour < 12:
        return (hour - 7) / 5 * 20 / 60
    return 20 / 60 if hour < 17 else 4 / 60


def day(seed: int) -> dict[int, int]:
    """Return the number of arrivals by second, of those seconds that have any."""
    lot = random.Random(seed)  # noqa: S311 - a simulation
    found = {second: 1 for second in range(DAY) if lot.random() < rate_of_day(second)}
    for number in range(BURST):
        second = BURST_AT + number % 5
        found[second] = found.get(second, 0) + 1
    return found


def steady(per_minute: float, seconds: int, seed: int) -> dict[int, int]:
    """Return arrivals of a constant rate, several in one second possible."""
    lot, found, at = random.Random(seed), dict[int, int](), 0.0  # noqa: S311 - a simulation
    while (at := at + lot.expovariate(per_minute / 60)) < seconds:
        found[int(at)] = found.get(int(at), 0) + 1
    return found


def simulate(
    arrivals: dict[int, int], size: Size, seconds: int = DAY, refill: float = REFILL_SECONDS, seed: int = 7
) -> Result:
    """Let the arrivals take warm pods, and refill at once; an arrival without one is a miss."""
    lot, recent, starting = random.Random(seed), deque[float](), list[float]()  # noqa: S311 - a simulation
    warm, held, most, hits = size(recent, 0.0), 0, 0, 0
    for second in range(seconds):
        if second not in OUTAGE or seconds != DAY:
            warm += sum(at <= second for at in starting)
            starting = [at for at in starting if at > second]
        for _ in range(arrivals.get(second, 0)):
            recent.append(float(second))
            hits += warm > 0
            warm -= warm > 0
        while recent and recent[0] <= second - LONG_SECONDS:
            recent.popleft()
        desired = size(recent, float(second))
        warm = min(warm, desired)
        missing = max(desired - warm - len(starting), 0)
        starting += [second + refill + lot.random() * JITTER_SECONDS for _ in range(missing)]
        held += warm + len(starting)
        most = max(most, warm + len(starting))
    return Result(sum(arrivals.values()), hits, held / seconds, most)
