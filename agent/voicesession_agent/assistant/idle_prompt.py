"""The idle prompt: a question to a silent human before the operator ends an idle session."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from livekit.agents import AgentSession


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]


def call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Schedule a call in the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass
class Silence:
    """The facts that decide whether a silence needs a prompt; each silence gets at most one."""

    human_present: bool = False
    human_speaking: bool = False
    agent_busy: bool = False
    prompted: bool = False

    @property
    def needs_prompt(self) -> bool:
        """Return whether a human is present, everyone is silent, and no prompt was given."""
        return self.human_present and not (self.human_speaking or self.agent_busy or self.prompted)


class IdleMonitor:
    """Calls `prompt` after half of `seconds` of silence; 0 disables it. It owns one timer and no task."""

    def __init__(self, prompt: Callable[[], None], seconds: float, call_later: CallLater = call_later) -> None:
        self._prompt = prompt
        self._seconds = seconds
        self._call_later = call_later
        self._silence = Silence()
        self._timer: Timer | None = None
        self._closed = False

    @property
    def has_prompted(self) -> bool:
        """Return whether this silence has had its prompt: the agent's speech in it is that prompt."""
        return self._silence.prompted

    def watch(self, session: "AgentSession[Any]") -> None:
        """Follow the states of the session."""
        session.on("user_state_changed", lambda event: self.set_human_speaking(event.new_state == "speaking"))
        session.on("agent_state_changed", lambda event: self.set_agent_busy(event.new_state != "listening"))

    def set_seconds(self, seconds: float) -> None:
        """Change the idle limit; a running silence counts from now."""
        if seconds != self._seconds:
            self._seconds = seconds
            self._restart()

    def set_human_present(self, present: bool) -> None:
        """Start a silence when the first human joins; end it when the last one leaves."""
        self._silence.human_present = present
        self._silence.prompted = False
        self._restart()

    def set_human_speaking(self, speaking: bool) -> None:
        """End a silence by speech, or start one. The state `away` of livekit-agents (after 15 s) starts none."""
        if speaking == self._silence.human_speaking:
            return
        self._silence.human_speaking = speaking
        self._silence.prompted = self._silence.prompted and not speaking
        self._restart()

    def set_agent_busy(self, busy: bool) -> None:
        """End a silence by the agent's work, or start one."""
        self._silence.agent_busy = busy
        self._restart()

    async def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self._restart()

    def _restart(self) -> None:
        """Restart the timer; every change either starts or ends a silence."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._seconds > 0 and self._silence.needs_prompt and not self._closed:
            self._timer = self._call_later(self._seconds / 2, self._on_due)

    def _on_due(self) -> None:
        self._silence.prompted = True
        self._prompt()
