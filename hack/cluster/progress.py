"""Shows named steps while they run, keeps their logs, and prints their wall times at the end."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

from hack.cluster.constants import CACHE, LOGS

TTY_SECONDS = 0.5
PLAIN_SECONDS = 15.0
WIDTH = 118


@dataclass
class Step:
    """One running step: what it last said, and its log file."""

    name: str
    log: TextIO
    started: float = field(default_factory=time.monotonic)
    headline: str = ""
    tail: str = ""

    def line(self, text: str) -> None:
        """Take a line of output; one that starts with `[k/n]` becomes the headline of those after it."""
        self.log.write(text + "\n")
        self.log.flush()
        if text.startswith("["):
            self.headline, self.tail = text, ""
        elif text.strip():
            self.tail = text.strip()

    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.started

    def shown(self) -> str:
        """Return the one line that tells where the step is."""
        said = " · ".join(part for part in (self.headline, self.tail) if part)
        return f"{self.seconds():7.1f} s  {self.name}: {said}"[:WIDTH]


class Steps:
    """Runs steps one after another and remembers how long each took."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out
        self.times: list[tuple[str, float]] = []
        LOGS.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show `name` with its progress until the block ends; the time counts also when it fails."""
        path = LOGS / f"{name.replace(' ', '-')}.log"
        over = threading.Event()
        with path.open("w") as log:
            step = Step(name, log)
            ticker = threading.Thread(target=self._tick, args=(step, over), daemon=True)
            ticker.start()
            verdict = "failed"
            try:
                yield step
                verdict = "done"
            finally:
                over.set()
                ticker.join()
                self.times.append((name, step.seconds()))
                self._end(f"{step.seconds():7.1f} s  {name}: {verdict}")
                if verdict == "failed":
                    self._end(f"           log: {path}")

    def table(self) -> str:
        """Return the wall time of every step and of all together."""
        rows = [*self.times, ("all steps", sum(seconds for _, seconds in self.times))]
        return "\n".join(f"{seconds:9.1f} s  {name}" for name, seconds in rows)

    def record(self, command: str) -> None:
        """Append the wall times as one JSON line to wall-times.jsonl in the cache."""
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "load1": round(os.getloadavg()[0], 2),
            "steps": {name: round(seconds, 1) for name, seconds in self.times},
        }
        with (CACHE / "wall-times.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _tick(self, step: Step, over: threading.Event) -> None:
        tty = self.out.isatty()
        while not over.wait(TTY_SECONDS if tty else PLAIN_SECONDS):
            self.out.write(f"\r\x1b[K{step.shown()}" if tty else f"{step.shown()}\n")
            self.out.flush()

    def _end(self, text: str) -> None:
        self.out.write(f"\r\x1b[K{text}\n" if self.out.isatty() else f"{text}\n")
        self.out.flush()
