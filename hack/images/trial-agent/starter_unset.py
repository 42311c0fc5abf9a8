"""A starter that ends its process at import, because a variable is missing."""

import os
import sys

if not os.environ.get("STARTER_URL"):
    sys.exit("STARTER_URL is not set")
