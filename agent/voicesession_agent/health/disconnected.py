"""Disconnected: the job lives, and its connection to the room does not come back."""

from typing import Final

from voicesession_agent.health.stopwatch import Stopwatch

DISCONNECTED_SECONDS: Final = 10.0
"""LiveKit's client resumes a broken connection within 1 to 5 s where the network allows it."""


class Lost:
    """Seconds since the connection was lost; it being back ends the count."""

    def __init__(self) -> None:
        self._away = Stopwatch()

    def connected(self, connected: bool, now: float) -> None:
        if connected:
            self._away.hold(now)
            self._away.clear(now)
        else:
            self._away.run(now)

    def seconds(self, now: float) -> float:
        return self._away.seconds(now)


def disconnected(lost: float) -> bool:
    return lost >= DISCONNECTED_SECONDS
