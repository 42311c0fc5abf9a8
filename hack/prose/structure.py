"""Rules for files, classes and imports: lengths of files, names of tests, unique class names, private modules."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("common", "operator", "gateway", "agent", "cli")
LONGEST_FILE = 300
SHORTEST_FILE = 60
SHORT_FILES = Path(__file__).with_name("short_files.txt")
"""One line for each shorter production file: its path, a colon, and the reason."""
UNIT_TESTS = Path("tests/unit")
TESTED_FOLDERS = {
    **{package: f"{package}/voicesession_{package}" for package in PACKAGES},
    "bench": "tests/bench",
    "hack": "hack",
}
"""Folders of unit tests that mirror a folder of modules; the other ones test documents, scripts and charts."""
PRIVATE_MODULE = re.compile(r"livekit\.(\w+\.)*(_\w+|agents\.ipc|agents\.voice)(\.|$)")
"""Modules of LiveKit's libraries that may change in any version: those with an underscore, and two packages of
livekit-agents. It exports the public names of `voice` itself."""
INTERNALS = Path("agent/voicesession_agent/livekit_internals.py")
"""The only file with private names of LiveKit's libraries; ruff's SLF keeps private attributes out of the others."""


PATCHED_SLEEP = re.compile(r"setattr\([^)]*\b(time|asyncio)(\.|\", \"|, \")sleep")
"""A test that replaces `sleep` in its own module: threads of other tests in the same process call it too."""


def check_patches(paths: Iterable[Path]) -> Iterator[str]:
    """Yield tests that replace the sleep of the whole process instead of the name in one module, or an argument."""
    for path in paths:
        if path.parts[0] == "tests" and PATCHED_SLEEP.search(path.read_text()):
            yield f"{path}: replaces sleep for the whole process"


def check_lengths(paths: Iterable[Path], reasons: dict[str, str]) -> Iterator[str]:
    """Yield files that are too long, and production files that are short without a reason."""
    for path in paths:
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            yield f"{path}: {lines} lines, more than {LONGEST_FILE}"
        if path.parts[0] not in PACKAGES or path.name == "__init__.py":
            continue
        has_reason = str(path) in reasons
        if lines < SHORTEST_FILE and not has_reason:
            yield f"{path}: {lines} lines: merge it, or add a reason to {SHORT_FILES.name}"
        if lines >= SHORTEST_FILE and has_reason:
            yield f"{path}: {lines} lines: remove it from {SHORT_FILES.name}"


def read_reasons(text: str) -> dict[str, str]:
    """Return the reasons by path. Raises ValueError for a line without a reason."""
    reasons = {}
    for line in text.splitlines():
        path, _, reason = line.partition(": ")
        if not reason.strip():
            raise ValueError(f"no reason in the line: {line}")
        reasons[path] = reason
    return reasons


def check_test_files(paths: Iterable[Path], modules: frozenset[str]) -> Iterator[str]:
    """Yield unit test files that are not named after a module in the mirrored folder.

    `modules` are all tracked Python files. A test file is named `test_<module>.py` or `test_<module>_<aspect>.py`.
    """
    for path in paths:
        if not path.is_relative_to(UNIT_TESTS) or not path.name.startswith("test_"):
            continue
        first, *folders = path.relative_to(UNIT_TESTS).parent.parts
        if first in TESTED_FOLDERS:
            folder = "/".join([TESTED_FOLDERS[first], *folders])
            words = path.stem.removeprefix("test_").split("_")
            names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
            if not any(f"{folder}/{name}.py" in modules for name in names):
                yield f"{path}: no module in {folder} has the name {names[0]}, or its beginning"


def check_class_names(paths: Iterable[Path], production: Iterable[Path]) -> Iterator[str]:
    """Yield classes of `paths` whose name another production file defines too; private classes may repeat."""
    places = defaultdict[str, list[Path]](list)
    for path in production:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    scope = set(paths)
    for name, found in sorted(places.items()):
        if len(found) > 1 and scope & set(found):
            yield f"{', '.join(map(str, found))}: the class name {name} is not unique"


def check_private_modules(paths: Iterable[Path]) -> Iterator[str]:
    """Yield production files, except INTERNALS, that name a private module of LiveKit's libraries."""
    for path in paths:
        if path.parts[0] in PACKAGES and path != INTERNALS:
            found = filter(PRIVATE_MODULE.match, _module_names(ast.parse(path.read_text())))
            yield from (f"{path}: {name} is private: use it in {INTERNALS.name} only" for name in sorted(set(found)))


def _module_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names of imported modules, with the imported names, and all strings, such as preloaded modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
