"""Seconds for which something was so, in all: pure, every change takes its time from outside."""


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
