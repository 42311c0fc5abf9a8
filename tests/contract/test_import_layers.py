"""Imports of the agent pod: a job never imports the code of its supervisor, not even inside a function."""

import ast
from collections.abc import Iterator
from pathlib import Path

from hack.cluster.constants import ROOT

AGENT = ROOT / "agent" / "voicesession_agent"
JOB_SIDE = ("assistant", "health", "job", "memory", "speech")


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield f"{node.module}."
        elif isinstance(node, ast.Import):
            yield from (f"{name.name}." for name in node.names)


def test_job_imports_no_module_of_supervisor() -> None:
    files = [path for package in JOB_SIDE for path in (AGENT / package).glob("*.py")]
    found = [path.name for path in files if any("agent.supervisor." in name for name in imported_modules(path))]
    assert (found, len(files) > len(JOB_SIDE)) == ([], True)
