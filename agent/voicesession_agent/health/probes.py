"""Probes of a job: each turns events of the room or the session into one measurement; none reads a clock itself."""

from collections import deque
from typing import Final

DEAF_SECONDS: Final = 10.0
"""Total speech without a transcript: a sentence lasts 2 to 5 s, and its transcript arrives within 1 s."""
WINDOW_SECONDS: Final = 60.0
"""Only speech within this window counts: noises spread over an hour are no sentence."""


class DeafProbe:
    """Seconds of speech of the linked human in the last WINDOW_SECONDS without any transcript.

    Speech is membership in LiveKit's active speakers. A transcript, or another linked human, restarts the count.
    """

    def __init__(self) -> None:
        self.periods: deque[tuple[float, float]] = deque()
        """Ended periods of speech that reach into the window, with their start and end."""
        self._since: float | None = None
        self._linked = ""

    def speaks(self, linked: str, speaking: bool, now: float) -> None:
        """Take the linked human and whether the human speaks."""
        if linked != self._linked:
            self._linked, self._since = linked, None
            self.periods.clear()
        if speaking and self._since is None:
            self._since = now
        if not speaking:
            self._end_period(now)

    def heard(self, now: float) -> None:
        """Take a transcript."""
        self.periods.clear()
        if self._since is not None:
            self._since = now

    def seconds(self, now: float) -> float:
        """Return the seconds of speech without a transcript."""
        begin = now - WINDOW_SECONDS
        periods = [*self.periods, (now if self._since is None else self._since, now)]
        return sum(max(0.0, end - max(start, begin)) for start, end in periods)

    def _end_period(self, now: float) -> None:
        if self._since is not None:
            self.periods.append((self._since, now))
            self._since = None
        while self.periods and self.periods[0][1] <= now - WINDOW_SECONDS:
            self.periods.popleft()


def is_deaf(unheard: float) -> bool:
    """Return whether so many seconds of unheard speech are a problem."""
    return unheard >= DEAF_SECONDS


class Stopwatch:
    """Counts seconds; its callers pass the time."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def run(self, now: float) -> None:
        """Start counting; no effect on a running stopwatch."""
        if self._since is None:
            self._since = now

    def hold(self, now: float) -> None:
        """Stop counting and keep the value."""
        self._before = self.seconds(now)
        self._since = None

    def clear(self, now: float) -> None:
        """Set the value to zero; a running stopwatch continues."""
        self._before = 0.0
        if self._since is not None:
            self._since = now

    def seconds(self, now: float) -> float:
        """Return the counted seconds."""
        return self._before + (0.0 if self._since is None else max(0.0, now - self._since))


MUTE_SECONDS: Final = 4.0
"""Total speech; LiveKit lists a speaker within its update interval of 0.4 s."""


class MuteProbe:
    """Seconds of the agent's speech, by its own account, since LiveKit last listed it as an active speaker."""

    def __init__(self) -> None:
        self._silence = Stopwatch()
        self._speaking = False
        self._listed = False

    def speaks(self, speaking: bool, now: float) -> None:
        """Take the session's own state."""
        self._speaking = speaking
        self._count(now)

    def listed(self, listed: bool, now: float) -> None:
        """Take whether LiveKit lists the agent as an active speaker."""
        self._listed = listed
        self._count(now)

    def seconds(self, now: float) -> float:
        """Return the seconds of inaudible speech."""
        return self._silence.seconds(now)

    def _count(self, now: float) -> None:
        if self._listed:
            self._silence.clear(now)
        if self._speaking and not self._listed:
            self._silence.run(now)
        else:
            self._silence.hold(now)


def is_mute(inaudible: float, muted: bool) -> bool:
    """Return whether the agent cannot be heard; a muted publication is enough: the assistant never mutes its own."""
    return muted or inaudible >= MUTE_SECONDS


DISCONNECTED_SECONDS: Final = 10.0
"""LiveKit's client resumes a broken connection within 1 to 5 s if the network allows it."""


class DisconnectedProbe:
    """Seconds since the connection to the room was lost; a restored connection resets the count."""

    def __init__(self) -> None:
        self._away = Stopwatch()

    def connected(self, connected: bool, now: float) -> None:
        """Take the state of the connection."""
        if connected:
            self._away.hold(now)
            self._away.clear(now)
        else:
            self._away.run(now)

    def seconds(self, now: float) -> float:
        """Return the seconds without a connection."""
        return self._away.seconds(now)


def is_disconnected(lost: float) -> bool:
    """Return whether so many seconds without a connection are a problem."""
    return lost >= DISCONNECTED_SECONDS


TURNS: Final = 3
"""Failed turns in a row; the provider's own retries have failed in each of them."""
ROLES: Final = ("stt", "llm", "tts")


class ProviderProbe:
    """Counts failures per role after all retries; a success of the role resets its count."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(ROLES, 0)
        self._closed = ""

    def failed(self, kind: str) -> None:
        """Count an error of livekit-agents' type `kind`, such as `llm_error`; only errors of providers count."""
        role = _role(kind)
        if role in self._counts:
            self._counts[role] += 1

    def session_closed(self, kind: str) -> None:
        """Take the error over which the session closed itself; nothing answers any more."""
        self._closed = _role(kind)

    def succeeded(self, *roles: str) -> None:
        """Reset the counts of these roles."""
        self._counts.update(dict.fromkeys(roles, 0))

    @property
    def has_failure(self) -> bool:
        """Return whether any role has failed since its last success."""
        return bool(self._closed) or any(self._counts.values())

    def failing_role(self) -> str:
        """Return the role that keeps failing, or an empty string."""
        return self._closed or next((role for role, count in self._counts.items() if count >= TURNS), "")


def _role(kind: str) -> str:
    return kind.removesuffix("_error")
