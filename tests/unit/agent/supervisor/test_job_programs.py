"""Programs of jobs, as real processes: their end with the job, and their removal after their exit."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from voicesession_agent.settings import PROGRAM_MARK
from voicesession_agent.supervisor.job_programs import end_programs, reap_orphans

DEADLINE = 30.0
FOREVER = ["sleep", "3600"]
JOB = 2**22 + 1
"""A process id above the kernel's limit."""


@pytest.fixture
def others() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield processes that no job has started: one of this session, and the first one of another session."""
    made = [subprocess.Popen(FOREVER), subprocess.Popen(FOREVER, start_new_session=True)]
    yield made
    for process in made:
        process.kill()
        process.wait()


def state_of(process: subprocess.Popen[bytes]) -> str:
    """Return the state letter of a child, also of a zombie; empty once it is removed."""
    stat = Path(f"/proc/{process.pid}/stat")
    return stat.read_text().rpartition(")")[2].split()[0] if stat.exists() else ""


def wait_for(process: subprocess.Popen[bytes], state: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while state_of(process) != state:
        assert time.monotonic() < deadline
        os.sched_yield()


def test_end_programs_kills_session_of_job_only(others: list[subprocess.Popen[bytes]]) -> None:
    leader = subprocess.Popen(FOREVER, start_new_session=True)
    assert end_programs(leader.pid) == 1
    assert leader.wait(DEADLINE) < 0
    assert end_programs(leader.pid) == 0
    assert [process.poll() for process in others] == [None, None]


def test_end_programs_kills_marked_program_in_other_session(others: list[subprocess.Popen[bytes]]) -> None:
    marked = subprocess.Popen(FOREVER, start_new_session=True, env=os.environ | {PROGRAM_MARK: str(JOB)})
    wait_for(marked, "S")
    assert end_programs(JOB * 10) == 0, "another job, whose id begins with the same digits"
    assert end_programs(JOB) == 1
    assert marked.wait(DEADLINE) < 0
    assert [process.poll() for process in others] == [None, None]


def test_reap_orphans_leaves_exit_status_of_own_processes() -> None:
    own, orphan = subprocess.Popen(["true"]), subprocess.Popen(["true"], start_new_session=True)
    wait_for(own, "Z")
    wait_for(orphan, "Z")
    reap_orphans()
    assert (state_of(own), state_of(orphan)) == ("Z", "")
    assert own.wait(DEADLINE) == 0
    orphan.wait(DEADLINE)
