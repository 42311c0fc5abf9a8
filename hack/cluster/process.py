"""Runs other programs: for their output, or with each line of output passed on as progress."""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

Log = Callable[[str], None]


class CommandError(RuntimeError):
    """A program failed; the message contains the last lines of its output."""

    def __init__(self, command: tuple[str, ...], code: int, tail: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with {code}\n{tail}".rstrip())
        self.code = code
        self.tail = tail


def output(*command: str, timeout: float | None = None, stdin: str | None = None) -> str:
    """Return the stripped output of `command`; raise CommandError on failure or after `timeout` seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin or "", check=False)
    except subprocess.TimeoutExpired:
        raise CommandError(command, 124, f"no answer within {timeout} s") from None
    except FileNotFoundError:
        raise CommandError(command, 127, "no such program") from None
    if done.returncode:
        raise CommandError(command, done.returncode, (done.stderr or done.stdout).strip()[-2000:])
    return done.stdout.strip()


def succeeds(*command: str, timeout: float | None = None) -> bool:
    """Return whether `command` exits with 0 within `timeout` seconds."""
    try:
        output(*command, timeout=timeout)
    except CommandError:
        return False
    return True


def run(*command: str, log: Log, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run `command` and pass each line of its output to `log`; raise CommandError with the last 30 lines."""
    last: deque[str] = deque(maxlen=30)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
        cwd=cwd,
    ) as process:
        assert process.stdout is not None  # noqa: S101  for the type checker: stdout is a pipe
        for text in process.stdout:
            last.append(text.rstrip())
            log(text.rstrip())
    if process.returncode:
        raise CommandError(command, process.returncode, "\n".join(last))


def pipe(source: tuple[str, ...], sink: tuple[str, ...], report: Callable[[int], None]) -> None:
    """Send the output of `source` into `sink` and report the bytes so far; raise CommandError if either fails."""
    with (
        subprocess.Popen(source, stdout=subprocess.PIPE) as producer,
        subprocess.Popen(sink, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as consumer,
    ):
        assert producer.stdout is not None and consumer.stdin is not None and consumer.stderr is not None  # noqa: S101, PT018
        total = 0
        try:
            while chunk := producer.stdout.read(1 << 20):
                consumer.stdin.write(chunk)
                total += len(chunk)
                report(total)
            consumer.stdin.close()
        except BrokenPipeError:
            producer.kill()
        error = consumer.stderr.read().decode(errors="replace")
    for process, command in ((consumer, sink), (producer, source)):
        if process.returncode:
            raise CommandError(command, process.returncode, error)


def on_path(name: str) -> str | None:
    """Return the path of a program on PATH, or None."""
    return shutil.which(name)
