"""What the command tells: text as it happens, or one JSON object at the end."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from voicesession_cli.transcript import Line


@dataclass
class Turn:
    """One utterance and its reply, as printed; `reply` is empty when none came."""

    said: str
    heard_by_agent: str = ""
    reply: str = ""
    latency: float | None = None
    seconds: float = 0.0
    heard: str | None = None

    def render(self) -> dict[str, Any]:
        return {
            "said": self.said,
            "heardByAgent": self.heard_by_agent,
            "reply": self.reply,
            "latencySeconds": None if self.latency is None else round(self.latency, 3),
            "replySeconds": round(self.seconds, 3),
            "heard": self.heard,
        }


@dataclass
class Report:
    """Collects the whole visit; `quiet` prints nothing on the way, for JSON output."""

    session: str
    room: str
    identity: str
    agent_name: str
    quiet: bool
    agent: dict[str, str] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    error: str = ""
    _open: Line | None = None

    def note(self, text: str) -> None:
        """Progress for people; on stderr, so that stdout holds only what was said."""
        self._finish_line()
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def words(self, line: Line, words: str) -> None:
        """Print the agent's words as they come, and what it understood of ours once that is final."""
        if self.quiet:
            return
        if line.speaker == self.identity:
            if line.final and not words:
                self._finish_line()
                print(f"{self.agent_name} heard: {line.text}", flush=True)
            return
        if words and self._open is not line:
            self._finish_line()
            print(f"{self.agent_name}: ", end="")
            self._open = line
        print(words, end="", flush=True)
        if not words and self._open is line:
            self._finish_line()

    def begin_turn(self, said: str) -> Turn:
        """Announce and return a turn that has no reply yet."""
        self.turns.append(Turn(said))
        self.note(f"you: {said}")
        return self.turns[-1]

    def heard(self, turn: Turn, heard: str) -> None:
        turn.heard = heard
        if not self.quiet:
            print(f"independent ear: {heard}", flush=True)

    def finish(self) -> None:
        self._finish_line()
        if self.quiet:
            print(json.dumps(self.render(), indent=2))

    def render(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "room": self.room,
            "identity": self.identity,
            "agent": self.agent,
            "turns": [turn.render() for turn in self.turns],
            "error": self.error or None,
        }

    def _finish_line(self) -> None:
        if self._open is not None:
            print(flush=True)
            self._open = None
