"""What only the tests need of this machine: Prometheus with promtool, from Debian's package `prometheus` (2.42)."""

import sys

from hack.cluster import host
from hack.cluster.process import CommandError

PROGRAMS = {"prometheus": "prometheus", "promtool": "prometheus"}
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
