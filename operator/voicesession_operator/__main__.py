"""`python -m voicesession_operator` runs one replica of the operator."""

import sys

from voicesession_operator.app import main

if __name__ == "__main__":
    sys.exit(main())
