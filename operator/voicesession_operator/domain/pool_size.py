"""The number of warm pods that the arrivals of sessions need."""

from collections.abc import Sequence
from math import exp
from typing import Final

CONFIDENCE: Final = 0.999
"""Share of the sessions that find a warm pod."""
SHORT_SECONDS: Final = 60.0
"""Window of the quick estimate, for ramps and bursts."""
LONG_SECONDS: Final = 600.0
"""Window of the slow estimate; arrivals that are older are forgotten."""
HOLD_SECONDS: Final = 300.0
"""Time for which the highest recommendation counts, the same as the HPA's stabilization window for scaling down."""
FIRST_REFILL_SECONDS: Final = 10.0
"""Refill time until one was observed: the embedded engines need 5 to 10 s."""
LONGEST_PAUSE_SECONDS: Final = 3.0
"""Longest pause between a claim and its refill."""
MOST_MEAN: Final = 700.0
"""Largest mean of the exact sum: exp(-mean) is 0 in floating point above 745."""

Recommendations = tuple[tuple[float, int], ...]
"""Times (Unix seconds) and numbers of pods, the oldest first."""


def required_warm(arrivals_per_second: float, refill_seconds: float, confidence: float = CONFIDENCE) -> int:
    """Return the smallest number of pods with which a session finds one that is warm, with this probability.

    It does if fewer sessions than there are pods arrived in one refill time before, which is a Poisson variable. A
    mean above MOST_MEAN counts as MOST_MEAN.
    """
    mean = min(max(arrivals_per_second * refill_seconds, 0.0), MOST_MEAN)
    if mean == 0.0:
        return 0
    pods, term = 1, exp(-mean)
    total = term
    while total < confidence:
        term *= mean / pods
        total += term
        pods += 1
    return pods


def arrival_rate(arrivals: Sequence[float], now: float) -> float:
    """Return the arrivals per second: the higher of the short and of the long window's.

    `arrivals` are Unix seconds; times of a clock that was set back count as old.
    """
    return max(_rate(arrivals, now, SHORT_SECONDS), _rate(arrivals, now, LONG_SECONDS))


def _rate(arrivals: Sequence[float], now: float, seconds: float) -> float:
    return sum(now - seconds < at <= now for at in arrivals) / seconds


def needed_pods(arrivals: Sequence[float], refill_seconds: float, now: float) -> int:
    """Return the number of pods that the arrivals need now. `refill_seconds` is 0 before the first refill."""
    seconds = refill_seconds or FIRST_REFILL_SECONDS
    return required_warm(arrival_rate(arrivals, now), seconds + LONGEST_PAUSE_SECONDS)


def hold(recommendations: Recommendations, needed: int, now: float) -> Recommendations:
    """Return the recommendations with a new one, without those that no longer count.

    One that is not higher than a later one never counts again, so that few are kept.
    """
    kept = tuple((at, pods) for at, pods in recommendations if now - HOLD_SECONDS < at <= now and pods > needed)
    return (*kept, (now, needed))


def held_pods(recommendations: Recommendations) -> int:
    """Return the highest recommendation that counts: up at once, and down only after HOLD_SECONDS."""
    return max((pods for _, pods in recommendations), default=0)
