"""Installation of missing packages: as root, with sudo without a password, or an error that names them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.cluster import host
from hack.cluster.process import CommandError

CALLS = "calls"
LOG = f'echo "$(basename "$0") $@" >> "$(dirname "$0")/{CALLS}"'
SUDO = f'{LOG}\nshift\nexec "$@"'
LOCKED_SUDO = f'{LOG}\necho "sudo: a password is required" >&2\nexit 1'
APT = f'echo "apt-get $@ ($DEBIAN_FRONTEND)" >> "$(dirname "$0")/{CALLS}"'

INSTALLS = [
    "apt-get update -qq (noninteractive)",
    "apt-get install -y -qq --no-install-recommends one two (noninteractive)",
]

Machine = Callable[..., Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a function that puts programs on PATH and returns the file with their calls."""

    def create(uid: int, **programs: str) -> Path:
        for name, script in programs.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f"#!/bin/bash\n{script}\n")
            path.chmod(0o755)
        for name in ("bash", "basename", "dirname", "env", "true"):
            (tmp_path / name).symlink_to(f"/usr/bin/{name}")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        return tmp_path / CALLS

    return create


def test_root_installs_packages(machine: Machine) -> None:
    calls = machine(0, apt_get=APT, sudo=LOCKED_SUDO)
    host.install(print, "one", "two")
    assert calls.read_text().splitlines() == INSTALLS


def test_other_user_installs_packages_with_sudo(machine: Machine) -> None:
    calls = machine(1000, apt_get=APT, sudo=SUDO)
    host.install(print, "one", "two")
    lines = calls.read_text().splitlines()
    assert [line for line in lines if line.startswith("apt-get")] == INSTALLS
    assert all(line.startswith("sudo -n ") for line in lines if not line.startswith("apt-get"))


@pytest.mark.parametrize(
    "programs", [{"apt_get": APT, "sudo": LOCKED_SUDO}, {"apt_get": APT}, {"sudo": SUDO}], ids="+".join
)
def test_install_without_permission_names_missing_packages(machine: Machine, programs: dict[str, str]) -> None:
    calls = machine(1000, **programs)
    with pytest.raises(CommandError, match="must be installed: one, two"):
        host.install(print, "one", "two")
    assert not calls.exists() or "apt-get" not in calls.read_text()


def test_present_program_is_not_installed(machine: Machine) -> None:
    calls = machine(0, apt_get=APT, promtool=LOG)
    host.ensure_program("promtool", print, "prometheus")
    assert not calls.exists()
