"""`python -m hack.dashboards`: write the chart's Grafana dashboards.

The files are committed, so that an installation needs no Python.
"""

import json
import sys

from hack.cluster.constants import CHART
from hack.dashboards import agents, conversations, operator
from hack.dashboards.grafana import Dashboard, render

FOLDER = CHART / "dashboards"
DASHBOARDS = {
    "conversations": conversations.DASHBOARD,
    "operator": operator.DASHBOARD,
    "agents": agents.DASHBOARD,
}


def text(dashboard: Dashboard) -> str:
    """Return the content of the dashboard's file."""
    return json.dumps(render(dashboard), indent=2) + "\n"


def main() -> int:
    """Write all dashboards."""
    for name, dashboard in DASHBOARDS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(text(dashboard))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
