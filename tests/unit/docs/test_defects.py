"""The tests that docs/defects.md names."""

import ast
import re
from pathlib import Path

from hack.cluster.constants import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def _tests_of(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}


def test_every_named_test_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "defects.md").read_text())
    missing = [f"{path}::{name}" for path, name in named if name not in _tests_of(ROOT / path)]
    assert (missing, bool(named)) == ([], True)
