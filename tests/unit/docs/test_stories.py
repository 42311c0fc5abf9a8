"""The section "Follow one behavior" of docs/architecture.md: files and functions exist, and each story is short."""

import ast
import re
from functools import cache

import pytest

from hack.cluster.constants import ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"
SECTION = "Follow one behavior"
STORIES = 5
MOST_FILES = 12
STEP = re.compile(r"^(\d+)\. `([\w/.]+\.py)` `([\w.]+)`: \S.*\.$")


def _stories() -> dict[str, list[str]]:
    """Return the lines of each story of the section, by its heading."""
    section = DOCUMENT.read_text().split(f"\n## {SECTION}\n")[1].split("\n## ")[0]
    stories = (part.partition("\n") for part in section.split("\n### ")[1:])
    return {heading: [line for line in text.splitlines() if line[:1].isdigit()] for heading, _, text in stories}


def _steps(story: str) -> list[tuple[str, str]]:
    """Return file and function of each step. Raises AssertionError for a line of another form."""
    found = [(line, STEP.match(line)) for line in _stories()[story]]
    assert [line for line, step in found if step is None] == []
    return [(step[2], step[3]) for _, step in found if step is not None]


@cache
def _names(file: str) -> frozenset[str]:
    """Return the functions and classes of a file, methods as `Class.method`."""
    return frozenset(_definitions(ast.parse((ROOT / file).read_text()), ""))


def _definitions(node: ast.AST, prefix: str) -> set[str]:
    found = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(f"{prefix}{child.name}")
        if isinstance(child, ast.ClassDef):
            found |= _definitions(child, f"{prefix}{child.name}.")
    return found


def test_section_has_five_stories() -> None:
    assert len(_stories()) == STORIES


@pytest.mark.parametrize("story", _stories())
def test_story_names_existing_functions(story: str) -> None:
    steps = _steps(story)
    assert steps
    assert [(file, name) for file, name in steps if not (ROOT / file).is_file() or name not in _names(file)] == []


@pytest.mark.parametrize("story", _stories())
def test_story_is_numbered_in_order(story: str) -> None:
    assert [int(line.split(".")[0]) for line in _stories()[story]] == list(range(1, len(_stories()[story]) + 1))


@pytest.mark.parametrize("story", _stories())
def test_story_has_at_most_twelve_files(story: str) -> None:
    assert len({file for file, _ in _steps(story)}) <= MOST_FILES
