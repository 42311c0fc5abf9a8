"""The pinned Go programs: which are there, and how the missing ones are built."""

from collections.abc import Iterable

from hack.cluster.constants import BIN, IMAGES, PROGRAM_VERSIONS, TOOLS, VENV
from hack.cluster.process import CommandError, Line, on_path, run

PINS = BIN / ".pins"


def is_built(name: str) -> bool:
    """Tell whether the cache holds `name` in its pinned version."""
    pin = PINS / name
    return (BIN / name).exists() and pin.exists() and pin.read_text() == PROGRAM_VERSIONS[name]


def path(name: str) -> str:
    """Return where a tool is: ours from the cache, else the one on PATH; raises CommandError for neither."""
    if is_built(name):
        return str(BIN / name)
    found = on_path(name)
    if found is None:
        raise CommandError((name,), 127, f"{name} is neither in {BIN} nor on PATH: run `make up`")
    return found


def missing(tools: Iterable[str]) -> list[str]:
    """Return those tools that neither the cache nor PATH has."""
    return [name for name in tools if not is_built(name) and on_path(name) is None]


def build(names: Iterable[str], line: Line) -> None:
    """Build those of `names` that the cache lacks, in the pins' order; needs Go."""
    wanted = set(names)
    todo = [name for name in PROGRAM_VERSIONS if name in wanted and not is_built(name)]
    if not todo:
        return
    if on_path("go") is None:
        raise CommandError(("go", "build", *todo), 127, f"Go is needed to build {', '.join(todo)}")
    pins = [f"{name}@{PROGRAM_VERSIONS[name]}" for name in todo]
    run("bash", str(IMAGES / "binaries.sh"), *pins, line=line, env={"BIN": str(BIN)})


def link(line: Line) -> None:
    """Put the tools that were built here beside `voicesession`, so that one `activate` brings them all."""
    for name in TOOLS:
        target = VENV / "bin" / name
        if is_built(name) and not target.exists():
            target.symlink_to(BIN / name)
            line(str(target))
