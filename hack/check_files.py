"""`python -m hack.check_files FILE...`: print a line for each formatting mistake in a file; pre-commit runs it too."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

LARGEST_BYTES = 1 << 20
CONFLICT = ("<<<<<<< ", "=======\n", ">>>>>>> ")


def troubles(path: Path) -> Iterator[str]:
    """What is wrong with a file; a file that is no text is only judged by its size."""
    content = path.read_bytes()
    if len(content) > LARGEST_BYTES:
        yield f"has {len(content)} bytes, more than {LARGEST_BYTES}"
    if b"\0" in content:
        return
    text = content.decode("utf-8", errors="replace")
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        yield "does not end with exactly one line break"
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        yield from (f"line {number} {trouble}" for trouble in _of_line(line))
    yield from _of_data(path, text)


def _of_line(line: str) -> Iterator[str]:
    if line.rstrip("\r\n") != line.rstrip():
        yield "ends with spaces"
    if "\r" in line:
        yield "has a carriage return"
    if line.startswith(CONFLICT):
        yield "is left over from a merge"


def _of_data(path: Path, text: str) -> Iterator[str]:
    """Whether YAML and JSON can be read at all; a chart's templates are neither yet."""
    try:
        if path.suffix == ".json":
            json.loads(text)
        if path.suffix in (".yaml", ".yml") and "templates" not in path.parts:
            list(yaml.compose_all(text))
    except (ValueError, yaml.YAMLError) as error:
        yield f"cannot be read: {' '.join(str(error).split())}"


def main(names: list[str]) -> int:
    """Print `file: trouble` for each; 1 if there is any."""
    found = [f"{name}: {trouble}" for name in names if Path(name).is_file() for trouble in troubles(Path(name))]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
