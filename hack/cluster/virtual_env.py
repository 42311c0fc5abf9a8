"""The virtual environment of the commands, linters and tests."""

import sys

from hack.cluster import host
from hack.cluster.constants import ROOT, UV_VERSION, VENV
from hack.cluster.process import Log, run, succeeds

PYTHON = str(VENV / "bin" / "python")
UV = str(VENV / "bin" / "uv")


def sync(log: Log) -> None:
    """Synchronize .venv with uv.lock; raise CommandError on failure."""
    if not succeeds(PYTHON, "--version"):
        _create(log)
    if not succeeds(UV, "--version"):
        run(PYTHON, "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}", log=log)
    run(UV, "sync", "--frozen", "--all-extras", log=log, cwd=ROOT, env={"UV_PYTHON_DOWNLOADS": "never"})


def _create(log: Log) -> None:
    if not succeeds(sys.executable, "-c", "import ensurepip, venv"):
        host.install(log, "python3-venv")
    run(sys.executable, "-m", "venv", "--clear", str(VENV), log=log)
