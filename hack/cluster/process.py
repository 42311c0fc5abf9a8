"""Runs other programs: quietly for their output, or line by line for whoever shows progress."""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

Line = Callable[[str], None]


class CommandError(RuntimeError):
    """A program ended badly; the message carries its last lines."""

    def __init__(self, command: tuple[str, ...], code: int, tail: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with {code}\n{tail}".rstrip())
        self.code = code
        self.tail = tail


def output(*command: str, timeout: float | None = None, stdin: str | None = None) -> str:
    """Return what `command` prints, stripped; raises CommandError, also after `timeout` seconds."""
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
    """Tell whether `command` ends with 0 within `timeout` seconds."""
    try:
        output(*command, timeout=timeout)
    except CommandError:
        return False
    return True


def run(*command: str, line: Line, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run `command` and hand each line of its output to `line`; raises CommandError with the last 30 lines."""
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
            line(text.rstrip())
    if process.returncode:
        raise CommandError(command, process.returncode, "\n".join(last))


def pipe(source: tuple[str, ...], sink: tuple[str, ...], moved: Callable[[int], None]) -> None:
    """Send `source`'s output into `sink`, telling `moved` the bytes so far; raises CommandError for either."""
    with (
        subprocess.Popen(source, stdout=subprocess.PIPE) as giver,
        subprocess.Popen(sink, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as taker,
    ):
        assert giver.stdout is not None and taker.stdin is not None and taker.stderr is not None  # noqa: S101, PT018
        total = 0
        try:
            while chunk := giver.stdout.read(1 << 20):
                taker.stdin.write(chunk)
                total += len(chunk)
                moved(total)
            taker.stdin.close()
        except BrokenPipeError:
            giver.kill()
        trouble = taker.stderr.read().decode(errors="replace")
    for process, command in ((taker, sink), (giver, source)):
        if process.returncode:
            raise CommandError(command, process.returncode, trouble)


def on_path(name: str) -> str | None:
    """Return the path of a program found on PATH."""
    return shutil.which(name)
