"""Asking whether she is still there, before the operator ends a session in which nobody speaks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit.agents import AgentSession


@dataclass
class Silence:
    """Whether somebody is there and nobody speaks; each silence is asked about once. Pure."""

    there: bool = False
    human_speaks: bool = False
    agent_busy: bool = False
    asked: bool = False

    @property
    def worth_asking(self) -> bool:
        return self.there and not (self.human_speaks or self.agent_busy or self.asked)


class IdleMonitor:
    """Calls `ask` after half of `seconds` of silence; 0 is never. It owns one timer and no task."""

    def __init__(self, ask: Callable[[], None], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._silence = Silence()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def asked(self) -> bool:
        """Whether this silence has been asked about: what the agent says in it is that question."""
        return self._silence.asked

    def watch(self, session: "AgentSession[Any]") -> None:
        session.on("user_state_changed", lambda event: self.human(event.new_state == "speaking"))
        session.on("agent_state_changed", lambda event: self.agent(event.new_state != "listening"))

    def set_seconds(self, seconds: float) -> None:
        if seconds != self._seconds:
            self._seconds = seconds
            self._restart()

    def there(self, there: bool) -> None:
        """A human came, or the last one left."""
        self._silence.there = there
        self._silence.asked = False
        self._restart()

    def human(self, speaks: bool) -> None:
        """livekit-agents also calls her away after 15 s: that is no new silence."""
        if speaks == self._silence.human_speaks:
            return
        self._silence.human_speaks = speaks
        self._silence.asked = self._silence.asked and not speaks
        self._restart()

    def agent(self, busy: bool) -> None:
        self._silence.agent_busy = busy
        self._restart()

    async def close(self) -> None:
        self._closed = True
        self._restart()

    def _restart(self) -> None:
        """Every change is a new silence, or the end of one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._seconds > 0 and self._silence.worth_asking and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._seconds / 2, self._due)

    def _due(self) -> None:
        self._silence.asked = True
        self._ask()
