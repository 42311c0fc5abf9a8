"""`make docs`: writes docs/reference.md from the CRDs, the chart's values, the metrics and the API's names."""

from hack.cluster.names import ROOT
from hack.reference import document

FILE = ROOT / "docs" / "reference.md"

if __name__ == "__main__":
    FILE.write_text(document.render())
    print(FILE.relative_to(ROOT))
