"""Deaf: LiveKit hears the human, and no word of hers ever arrives."""

from collections import deque
from typing import Final

DEAF_SECONDS: Final = 10.0
"""Speech in all without any transcript: a sentence lasts 2 to 5 s, and each one ends in a transcript within 1 s."""
WINDOW_SECONDS: Final = 60.0
"""Noises of a whole hour are no sentence."""


class Unheard:
    """Seconds, of the last WINDOW_SECONDS, that the linked human was among LiveKit's active speakers without a word.

    A word of hers, and another human in her place, begin anew.
    """

    def __init__(self) -> None:
        self._spells: deque[tuple[float, float]] = deque()
        self._since: float | None = None
        self._linked = ""

    def speaks(self, linked: str, speaking: bool, now: float) -> None:
        if linked != self._linked:
            self._linked, self._since = linked, None
            self._spells.clear()
        if speaking and self._since is None:
            self._since = now
        if not speaking:
            self._hold(now)

    def heard(self, now: float) -> None:
        self._spells.clear()
        if self._since is not None:
            self._since = now

    def seconds(self, now: float) -> float:
        begin = now - WINDOW_SECONDS
        spells = [*self._spells, (now if self._since is None else self._since, now)]
        return sum(max(0.0, end - max(start, begin)) for start, end in spells)

    def _hold(self, now: float) -> None:
        if self._since is not None:
            self._spells.append((self._since, now))
            self._since = None
        while self._spells and self._spells[0][1] <= now - WINDOW_SECONDS:
            self._spells.popleft()


def deaf(unheard: float) -> bool:
    return unheard >= DEAF_SECONDS
