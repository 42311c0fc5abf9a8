"""`python -m hack.check_files FILE...`: print a line for each formatting mistake in a file; pre-commit runs it too."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

LARGEST_BYTES = 1 << 20
CONFLICT = ("<<<<<<< ", "=======\n", ">>>>>>> ")


def problems(path: Path) -> Iterator[str]:
    """Yield the problems of a file; a binary file is checked for its size only."""
    content = path.read_bytes()
    if len(content) > LARGEST_BYTES:
        yield f"has {len(content)} bytes, more than {LARGEST_BYTES}"
    if b"\0" in content:
        return
    text = content.decode("utf-8", errors="replace")
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        yield "does not end with exactly one line break"
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        yield from (f"line {number} {problem}" for problem in _line_problems(line))
    yield from _data_problems(path, text)


def _line_problems(line: str) -> Iterator[str]:
    if line.rstrip("\r\n") != line.rstrip():
        yield "ends with spaces"
    if "\r" in line:
        yield "has a carriage return"
    if line.startswith(CONFLICT):
        yield "is left over from a merge"


def _data_problems(path: Path, text: str) -> Iterator[str]:
    """Yield parse errors of YAML and JSON; templates of a chart are skipped."""
    try:
        if path.suffix == ".json":
            json.loads(text)
        if path.suffix in (".yaml", ".yml") and "templates" not in path.parts:
            list(yaml.compose_all(text))
    except (ValueError, yaml.YAMLError) as error:
        yield f"cannot be read: {' '.join(str(error).split())}"


def main(names: list[str]) -> int:
    """Print `file: problem` for each problem; return 1 if there is any."""
    found = [f"{name}: {problem}" for name in names if Path(name).is_file() for problem in problems(Path(name))]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
