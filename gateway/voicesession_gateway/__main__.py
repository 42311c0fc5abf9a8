"""Entry point: `python -m voicesession_gateway` runs one replica of the gateway."""

import sys

from voicesession_gateway.app import main

if __name__ == "__main__":
    sys.exit(main())
