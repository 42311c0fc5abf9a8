"""Named steps with progress, log files and a table of wall times."""

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
    """One running step with its latest output and its log file."""

    name: str
    file: TextIO
    started: float = field(default_factory=time.monotonic)
    headline: str = ""
    tail: str = ""

    def log(self, text: str) -> None:
        """Record a line of output; a line that starts with `[k/n]` becomes the headline of the next ones."""
        self.file.write(text + "\n")
        self.file.flush()
        if text.startswith("["):
            self.headline, self.tail = text, ""
        elif text.strip():
            self.tail = text.strip()

    def seconds(self) -> float:
        """Return the seconds since the start of the step."""
        return time.monotonic() - self.started

    def status_line(self) -> str:
        """Return the progress of the step in one line."""
        progress = " · ".join(part for part in (self.headline, self.tail) if part)
        return f"{self.seconds():7.1f} s  {self.name}: {progress}"[:WIDTH]


class Steps:
    """Runs steps one after another and records their wall times."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out
        self.times: list[tuple[str, float]] = []
        LOGS.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show the progress of a step until the block ends; a failed step counts in the times too."""
        path = LOGS / f"{name.replace(' ', '-')}.log"
        done = threading.Event()
        with path.open("w") as file:
            step = Step(name, file)
            ticker = threading.Thread(target=self._tick, args=(step, done), daemon=True)
            ticker.start()
            result = "failed"
            try:
                yield step
                result = "done"
            finally:
                done.set()
                ticker.join()
                self.times.append((name, step.seconds()))
                self._end(f"{step.seconds():7.1f} s  {name}: {result}")
                if result == "failed":
                    self._end(f"           log: {path}")

    def table(self) -> str:
        """Return the wall times of all steps, and their sum."""
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

    def _tick(self, step: Step, done: threading.Event) -> None:
        tty = self.out.isatty()
        while not done.wait(TTY_SECONDS if tty else PLAIN_SECONDS):
            self.out.write(f"\r\x1b[K{step.status_line()}" if tty else f"{step.status_line()}\n")
            self.out.flush()

    def _end(self, text: str) -> None:
        self.out.write(f"\r\x1b[K{text}\n" if self.out.isatty() else f"{text}\n")
        self.out.flush()
