"""Stuck: no beat comes from a job that should send one every second. Its process is stopped, or its loop blocked."""

from typing import Final

BEAT_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 5.0
LONGEST_TICK_SECONDS: Final = 2.0
"""A pause of the supervisor itself (a frozen node, no CPU) is no silence of the job: it counts as this much."""


class Pulse:
    """Seconds of silence, as far as the supervisor was awake to listen; `tick` is called about once a second."""

    def __init__(self, now: float) -> None:
        self._silence = 0.0
        self._ticked = now

    def beat(self) -> None:
        self._silence = 0.0

    def tick(self, now: float) -> None:
        self._silence += min(max(0.0, now - self._ticked), LONGEST_TICK_SECONDS)
        self._ticked = now

    @property
    def stuck(self) -> bool:
        return self._silence > STUCK_SECONDS
