"""Programs that jobs have started: they end with their job, and PID 1 removes them once they have exited."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from voicesession_agent.settings import PROGRAM_MARK

SEARCHES: Final = 5
"""Searches for programs of an ended job; more would only race with a program that starts others for ever."""


def end_programs(job: int) -> int:
    """Kill all programs that the job with this process id has started, and return their number.

    They are in the job's session, or carry its mark. A program that starts another one in between is found next time.
    """
    mark = f"{PROGRAM_MARK}={job}".encode()
    killed: set[int] = set()
    for _ in range(SEARCHES):
        found = {pid for pid, session in _other_processes() if session == job or mark in _environment(pid)} - killed
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
        killed |= found
    return len(killed)


def reap_orphans() -> None:
    """Remove the exited programs of jobs that this process, as PID 1, has inherited.

    They are in a session of a job, so the status of a process that this program itself waits for is never taken.
    """
    own = os.getsid(0)
    for pid, session in _other_processes(is_orphan=True):
        if session != own:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _other_processes(*, is_orphan: bool = False) -> list[tuple[int, int]]:
    """Return the ids of all other running processes with their sessions, or those of exited children (proc(5))."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            is_listed = int(parent) == os.getpid() and state == "Z" if is_orphan else state not in "ZX"
            if is_listed and int(folder.name) != os.getpid():
                found.append((int(folder.name), int(session)))
    return found


def _environment(pid: int) -> list[bytes]:
    """Return the environment with which the process was started; nothing for a process of another user."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []
