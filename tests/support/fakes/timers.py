"""Timers on a clock that only the test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class FakeTimer:
    """A pending call."""

    due: float
    callback: Callable[[], None]
    canceled: bool = False

    def cancel(self) -> None:
        self.canceled = True


@dataclass
class FakeTimers:
    """A stand-in for the event loop's `call_later`."""

    now: float = 0.0
    timers: list[FakeTimer] = field(default_factory=list)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + seconds, callback)
        self.timers.append(timer)
        return timer

    @property
    def pending(self) -> list[float]:
        """Return the times at which pending calls are due."""
        return [timer.due for timer in self.timers if not timer.canceled]

    def advance(self, seconds: float) -> None:
        """Move the clock and make the calls that are due."""
        self.now += seconds
        due = [timer for timer in self.timers if not timer.canceled and timer.due <= self.now]
        for timer in due:
            self.timers.remove(timer)
            timer.callback()
