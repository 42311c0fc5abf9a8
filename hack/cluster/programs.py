"""The pinned Go programs: lookup, and builds of missing ones."""

from collections.abc import Iterable

from hack.cluster.constants import BIN, IMAGES, PROGRAM_VERSIONS, TOOLS, VENV
from hack.cluster.process import CommandError, Log, on_path, run

PINS = BIN / ".pins"


def is_built(name: str) -> bool:
    """Return whether the cache holds `name` in its pinned version."""
    pin = PINS / name
    return (BIN / name).exists() and pin.exists() and pin.read_text() == PROGRAM_VERSIONS[name]


def path(name: str) -> str:
    """Return the path of a tool from the cache, else from PATH; raise CommandError if both lack it."""
    if is_built(name):
        return str(BIN / name)
    found = on_path(name)
    if found is None:
        raise CommandError((name,), 127, f"{name} is neither in {BIN} nor on PATH: run `make up`")
    return found


def missing(tools: Iterable[str]) -> list[str]:
    """Return the tools that are neither in the cache nor on PATH."""
    return [name for name in tools if not is_built(name) and on_path(name) is None]


def build(names: Iterable[str], log: Log) -> None:
    """Build the programs that the cache lacks, in the order of PROGRAM_VERSIONS; requires Go."""
    requested = set(names)
    todo = [name for name in PROGRAM_VERSIONS if name in requested and not is_built(name)]
    if not todo:
        return
    if on_path("go") is None:
        raise CommandError(("go", "build", *todo), 127, f"Go is needed to build {', '.join(todo)}")
    pins = [f"{name}@{PROGRAM_VERSIONS[name]}" for name in todo]
    run("bash", str(IMAGES / "binaries.sh"), *pins, log=log, env={"BIN": str(BIN)})


def link(log: Log) -> None:
    """Link the tools from the cache into the virtual environment, beside `voicesession`."""
    for name in TOOLS:
        target = VENV / "bin" / name
        if is_built(name) and not target.exists():
            target.symlink_to(BIN / name)
            log(str(target))
