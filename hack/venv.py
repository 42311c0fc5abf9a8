"""`make venv`: the virtual environment alone."""

import sys

from hack.cluster import virtual_env
from hack.cluster.process import CommandError

if __name__ == "__main__":
    try:
        virtual_env.sync(print)
    except CommandError as trouble:
        sys.exit(str(trouble))
