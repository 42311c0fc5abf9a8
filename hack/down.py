"""`make down`: delete the cluster and its network; caches and built images stay."""

import sys

from hack.cluster import engine, kind
from hack.cluster.process import CommandError


def main() -> int:
    """Delete the cluster if a Docker engine is running; return 1 on failure."""
    if not engine.is_running():
        print("no Docker engine is running: nothing to delete")
        return 0
    try:
        kind.delete(print)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
