"""What the machine itself must have: Debian packages, installed where they are missing and we may."""

import os

from hack.cluster.process import CommandError, Line, on_path, run, succeeds

SUDO = ("sudo", "-n")
"""Never asks: nobody may be there to type a password."""


def need(program: str, line: Line, *packages: str) -> None:
    """Install `packages` unless `program` is on PATH; raises CommandError."""
    if on_path(program) is None:
        install(line, *packages)


def install(line: Line, *packages: str) -> None:
    """Install Debian packages; raises CommandError where we may not or this is no Debian."""
    if on_path("apt-get") is None or not _may_install():
        raise CommandError(("install", *packages), 1, f"these are missing and must be installed: {', '.join(packages)}")
    line(f"installing {', '.join(packages)}")
    # by env: sudo keeps none of the variables that it is called with
    apt = (*(() if _is_root() else SUDO), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
    run(*apt, "update", "-qq", line=line)
    run(*apt, "install", "-y", "-qq", "--no-install-recommends", *packages, line=line)


def _may_install() -> bool:
    return _is_root() or succeeds(*SUDO, "true")


def _is_root() -> bool:
    return os.geteuid() == 0
