"""`make docs`: write docs/reference.md from the CRDs, the chart's values, the HTTP API and the metrics."""

import sys

from hack.cluster.constants import ROOT
from hack.reference import document

FILE = ROOT / "docs" / "reference.md"


def main(arguments: list[str]) -> int:
    """Write the file; with --check only compare it, and return 1 if it is out of date."""
    rendered = document.render()
    if "--check" in arguments:
        if FILE.read_text() == rendered:
            return 0
        print(f"{FILE.relative_to(ROOT)} is out of date: run `make docs`")
        return 1
    FILE.write_text(rendered)
    print(FILE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
