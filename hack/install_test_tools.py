"""Install the system packages that only tests and benchmarks need: Prometheus with promtool, and Chromium."""

import sys

from hack.cluster import host
from hack.cluster.process import CommandError

PROGRAMS = {"prometheus": "prometheus", "promtool": "prometheus", "chromium": "chromium"}
"""Debian package of each program."""


def main() -> int:
    """Install the missing packages; return 1 on failure."""
    try:
        for program, package in PROGRAMS.items():
            host.ensure_program(program, print, package)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
