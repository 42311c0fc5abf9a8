"""Deaf: LiveKit hears the human, and no word of hers ever arrives."""

from collections import deque
from typing import Final

DEAF_SECONDS: Final = 10.0
"""Speech in all without any transcript: a sentence lasts 2 to 5 s, and each one ends in a transcript within 1 s."""
WINDOW_SECONDS: Final = 60.0
"""Noises of a whole hour are no sentence."""


class DeafProbe:
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


def is_deaf(unheard: float) -> bool:
    return unheard >= DEAF_SECONDS


class Stopwatch:
    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def run(self, now: float) -> None:
        """Count from now on; already counting changes nothing."""
        if self._since is None:
            self._since = now

    def hold(self, now: float) -> None:
        """Keep what was counted and count no further."""
        self._before = self.seconds(now)
        self._since = None

    def clear(self, now: float) -> None:
        """Begin anew at nothing, counting on if it was."""
        self._before = 0.0
        if self._since is not None:
            self._since = now

    def seconds(self, now: float) -> float:
        return self._before + (0.0 if self._since is None else max(0.0, now - self._since))


MUTE_SECONDS: Final = 4.0
"""Speech in all; LiveKit lists a speaker within its update interval of 0.4 s."""


class MuteProbe:
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


def is_mute(inaudible: float, muted: bool) -> bool:
    """A publication muted by the server is silent for certain: the assistant never mutes its own."""
    return muted or inaudible >= MUTE_SECONDS


DISCONNECTED_SECONDS: Final = 10.0
"""LiveKit's client resumes a broken connection within 1 to 5 s where the network allows it."""


class DisconnectedProbe:
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


def is_disconnected(lost: float) -> bool:
    return lost >= DISCONNECTED_SECONDS


TURNS: Final = 3
"""In a row; a provider's own retries have failed in each of them."""
ROLES: Final = ("stt", "llm", "tts")


class ProviderProbe:
    """Counts, per role, errors that no retry mended; a success of that role begins anew."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(ROLES, 0)
        self._closed = ""

    def failed(self, kind: str) -> None:
        """`kind` is livekit-agents' type of error, e.g. `llm_error`; errors of other parts are no provider's."""
        role = _role(kind)
        if role in self._counts:
            self._counts[role] += 1

    def closed(self, kind: str) -> None:
        """The session has closed itself over an error: nobody will answer any more."""
        self._closed = _role(kind)

    def worked(self, *roles: str) -> None:
        self._counts.update(dict.fromkeys(roles, 0))

    @property
    def some(self) -> bool:
        """Whether a role has failed that has not worked since."""
        return bool(self._closed) or any(self._counts.values())

    def role(self) -> str:
        """The role that is failing, or nothing."""
        return self._closed or next((role for role, count in self._counts.items() if count >= TURNS), "")


def _role(kind: str) -> str:
    return kind.removesuffix("_error")
