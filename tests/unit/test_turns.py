"""Tests that need the release or the machine for themselves get it, though two processes run the tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from hack.cluster import names

FLAGS = ("-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder")
COPIED = ("conftest.py", "outcome.py", "turns.py")
SETTINGS = """
[tool.pytest.ini_options]
pythonpath = ["."]
asyncio_default_fixture_loop_scope = "function"
markers = ["cluster: as there", "speech: as there", "disruptive: as there"]
"""
SUITE = """
import os, pathlib, time
import pytest

def note(*words):
    with pathlib.Path("notes").open("a") as notes:
        print(os.getpid(), time.monotonic(), *words, file=notes)

@pytest.fixture(autouse=True)
def noted(request):
    note("begin", request.node.originalname)
    yield
    note("end", request.node.originalname)

@pytest.mark.cluster
@pytest.mark.disruptive
@pytest.mark.parametrize("number", range(3))
def test_disruptive(number):
    time.sleep(0.02)

@pytest.mark.cluster
@pytest.mark.parametrize("number", range(10))
def test_beside(number):
    time.sleep(0.02)

@pytest.mark.cluster
@pytest.mark.speech
@pytest.mark.parametrize("number", range(3))
def test_speech(number):
    time.sleep(0.02)

@pytest.mark.cluster
@pytest.mark.xdist_group("long")
@pytest.mark.parametrize("number", range(3))
def test_grouped(number):
    time.sleep(0.02)

@pytest.mark.parametrize("number", range(4))
def test_unit(number):
    pass
"""
ALONE = ("test_disruptive", "test_speech")


class Note(NamedTuple):
    process: str
    at: float
    what: str
    test: str


def test_two_processes_keep_order_groups_and_solitude(tmp_path: Path) -> None:
    notes = _run_suite(tmp_path)
    begun_alone = next(number for number, note in enumerate(notes) if note.test in ALONE)
    beside, alone = notes[:begun_alone], notes[begun_alone:]

    assert len({note.process for note in beside}) == 2
    assert sum(note.what == "begin" for note in beside) == sum(note.what == "end" for note in beside) == 17
    assert [note.what for note in alone] == ["begin", "end"] * 6
    assert {note.test for note in alone} == set(ALONE)
    for group in (ALONE, ("test_grouped",)):
        assert len({note.process for note in notes if note.test in group}) == 1, group
    begun = list(dict.fromkeys(note.test for note in notes))
    assert begun[0] == "test_unit"
    assert set(begun[1:3]) == {"test_grouped", "test_beside"}


def _run_suite(root: Path) -> list[Note]:
    """When each test of the suite began and ended, and where, in the order of time."""
    (root / "tests").mkdir()
    for name in COPIED:
        shutil.copy(names.ROOT / "tests" / name, root / "tests")
    (root / "pyproject.toml").write_text(SETTINGS)
    (root / "tests" / "test_suite.py").write_text(SUITE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "tests", *FLAGS]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(map(_note, (root / "notes").read_text().splitlines()), key=lambda note: note.at)


def _note(line: str) -> Note:
    process, at, what, test = line.split()
    return Note(process, float(at), what, test)
