"""Deaf: LiveKit hears the human, and no word of hers ever arrives."""

from typing import Final

from voicesession_agent.health.stopwatch import Stopwatch

DEAF_SECONDS: Final = 10.0
"""Speech in all without any transcript: a sentence lasts 2 to 5 s, and each one ends in a transcript within 1 s."""


class Unheard:
    """Seconds that the linked human was among LiveKit's active speakers since the last transcript of hers."""

    def __init__(self) -> None:
        self._speech = Stopwatch()

    def speaks(self, speaking: bool, now: float) -> None:
        if speaking:
            self._speech.run(now)
        else:
            self._speech.hold(now)

    def heard(self, now: float) -> None:
        self._speech.clear(now)

    def seconds(self, now: float) -> float:
        return self._speech.seconds(now)


def deaf(unheard: float) -> bool:
    return unheard >= DEAF_SECONDS
