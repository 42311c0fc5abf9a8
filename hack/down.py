"""`make down`: deletes the cluster and its network; caches and built images stay."""

import sys

from hack.cluster import engine, kind
from hack.cluster.process import CommandError


def main() -> int:
    """Delete our cluster where an engine answers and has one; 1 where that failed."""
    if not engine.answers():
        print("no Docker engine answers: nothing is running")
        return 0
    try:
        kind.delete(print)
    except CommandError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
