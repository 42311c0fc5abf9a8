"""`make venv`: create or update the virtual environment only."""

import sys

from hack.cluster import virtual_env
from hack.cluster.process import CommandError

if __name__ == "__main__":
    try:
        virtual_env.sync(print)
    except CommandError as error:
        sys.exit(str(error))
