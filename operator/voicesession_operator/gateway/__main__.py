"""`python -m voicesession_operator.gateway` runs one replica of the gateway."""

import sys

from voicesession_operator.gateway.app import main

if __name__ == "__main__":
    sys.exit(main())
