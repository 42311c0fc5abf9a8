"""What the machine itself must have: Debian packages, installed where we are root and they are missing."""

import os

from hack.cluster.process import CommandError, Line, on_path, run


def need(program: str, line: Line, *packages: str) -> None:
    """Install `packages` unless `program` is on PATH; raises CommandError."""
    if on_path(program) is None:
        install(line, *packages)


def install(line: Line, *packages: str) -> None:
    """Install Debian packages; raises CommandError where we are not root or this is no Debian."""
    if os.geteuid() != 0 or on_path("apt-get") is None:
        raise CommandError(("install", *packages), 1, f"these are missing and must be installed: {', '.join(packages)}")
    line(f"installing {', '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", line=line)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, line=line, env=quiet)
