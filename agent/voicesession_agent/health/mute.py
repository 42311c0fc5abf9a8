"""Mute: the agent says that it speaks, and LiveKit hears nothing of it."""

from typing import Final

from voicesession_agent.health.stopwatch import Stopwatch

MUTE_SECONDS: Final = 4.0
"""Speech in all; LiveKit lists a speaker within its update interval of 0.4 s."""


class Inaudible:
    """Seconds that the agent spoke, by its own account, since LiveKit last had it among the active speakers."""

    def __init__(self) -> None:
        self._silence = Stopwatch()
        self._speaking = False
        self._listed = False

    def speaks(self, speaking: bool, now: float) -> None:
        self._speaking = speaking
        self._count(now)

    def listed(self, listed: bool, now: float) -> None:
        self._listed = listed
        self._count(now)

    def seconds(self, now: float) -> float:
        return self._silence.seconds(now)

    def _count(self, now: float) -> None:
        if self._listed:
            self._silence.clear(now)
        if self._speaking and not self._listed:
            self._silence.run(now)
        else:
            self._silence.hold(now)


def mute(inaudible: float, muted: bool) -> bool:
    """A publication muted by the server is silent for certain: the assistant never mutes its own."""
    return muted or inaudible >= MUTE_SECONDS
