"""What only tests and benchmarks need of this machine, by apt: Prometheus with promtool, and Chromium."""

import sys

from hack.cluster import host
from hack.cluster.process import CommandError

PROGRAMS = {"prometheus": "prometheus", "promtool": "prometheus", "chromium": "chromium"}
"""By program: the Debian package it comes in."""


def main() -> int:
    """Install what is missing; 1 where that cannot be done."""
    try:
        for program, package in PROGRAMS.items():
            host.need(program, print, package)
    except CommandError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
