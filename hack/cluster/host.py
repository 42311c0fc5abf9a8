"""Debian packages of this machine, installed if they are missing and the user has the permission."""

import os

from hack.cluster.process import CommandError, Log, on_path, run, succeeds

SUDO = ("sudo", "-n")
"""Without a password prompt, which would block an unattended run."""


def ensure_program(program: str, log: Log, *packages: str) -> None:
    """Install `packages` unless `program` is on PATH; raise CommandError on failure."""
    if on_path(program) is None:
        install(log, *packages)


def install(log: Log, *packages: str) -> None:
    """Install Debian packages; raise CommandError without the permission or without apt-get."""
    if on_path("apt-get") is None or not _can_install():
        raise CommandError(("install", *packages), 1, f"these are missing and must be installed: {', '.join(packages)}")
    log(f"installing {', '.join(packages)}")
    # with env, because sudo drops the variables of its caller
    apt = (*(() if _is_root() else SUDO), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
    run(*apt, "update", "-qq", log=log)
    run(*apt, "install", "-y", "-qq", "--no-install-recommends", *packages, log=log)


def _can_install() -> bool:
    return _is_root() or succeeds(*SUDO, "true")


def _is_root() -> bool:
    return os.geteuid() == 0
