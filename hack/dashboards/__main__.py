"""Writes the chart's Grafana dashboards: `python -m hack.dashboards`. They are kept: installing needs no Python."""

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
    """What its file holds."""
    return json.dumps(render(dashboard), indent=2) + "\n"


def main() -> int:
    for name, dashboard in DASHBOARDS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(text(dashboard))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
