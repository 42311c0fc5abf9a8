"""`make venv`: the virtual environment alone."""

import sys

from hack.cluster import environment
from hack.cluster.process import CommandError

if __name__ == "__main__":
    try:
        environment.sync(print)
    except CommandError as trouble:
        sys.exit(str(trouble))
