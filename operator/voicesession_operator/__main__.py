"""`python -m voicesession_operator` runs one replica of the operator."""

import gc
import sys
from typing import Final

from voicesession_operator.app import main

COLLECTION_THRESHOLDS: Final = (20_000, 10, 20)
"""Python's defaults, (700, 10, 10), traverse the whole cache several times for each full list.

A page of a list has some 20,000 dicts and lists, and almost no object of the operator is in a cycle.
"""


def limit_collections() -> None:
    """Make full collections rare: each one traverses the whole cache while the event loop waits."""
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)


if __name__ == "__main__":
    limit_collections()
    sys.exit(main())
