"""The virtual environment with everything the commands, the linters and the tests need."""

import sys

from hack.cluster import host
from hack.cluster.constants import ROOT, UV_VERSION, VENV
from hack.cluster.process import Line, run, succeeds

PYTHON = str(VENV / "bin" / "python")
UV = str(VENV / "bin" / "uv")


def sync(line: Line) -> None:
    """Make .venv what uv.lock says; raises CommandError."""
    if not succeeds(PYTHON, "--version"):
        _create(line)
    if not succeeds(UV, "--version"):
        run(PYTHON, "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}", line=line)
    run(UV, "sync", "--frozen", "--all-extras", line=line, cwd=ROOT, env={"UV_PYTHON_DOWNLOADS": "never"})


def _create(line: Line) -> None:
    if not succeeds(sys.executable, "-c", "import ensurepip, venv"):
        host.install(line, "python3-venv")
    run(sys.executable, "-m", "venv", "--clear", str(VENV), line=line)
