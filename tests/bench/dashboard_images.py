"""Pictures of the dashboards from a real Prometheus, drawn from the panels' queries without Grafana."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from hack.dashboards.grafana import WINDOW, Dashboard, Panel, Query
from tests.bench import plot
from tests.support.observability.prometheus import SCRAPE_SECONDS, Prometheus, Series

COLUMNS = 3
POINTS = 240
MOST_LINES = 9
"""Lines with space for a legend beside a diagram; the largest are drawn."""
SVG = "{http://www.w3.org/2000/svg}"
UNITS = {"s": ", s", "bytes": ", bytes", "reqps": ", per second", "short": ""}

Line = Sequence[float | None]


def draw(prometheus: Prometheus, dashboard: Dashboard, path: Path, begin: float, end: float, window: str) -> None:
    """Save a picture of the dashboard between two Unix times, with rates over `window`."""
    step = max((end - begin) / POINTS, 1.0)
    times = [begin + number * step for number in range(int((end - begin) / step) + 1)]
    panels = [_panel(prometheus, panel, times, step, window) for panel in dashboard.panels]
    plot.save(path, "seconds", [at - begin for at in times], panels, COLUMNS)


def lines_in(path: Path) -> list[int]:
    """Return the number of lines of each panel in a picture, in the dashboard's order."""
    groups = ET.parse(path).getroot().iter(f"{SVG}g")  # noqa: S314  a file of this module
    return [len(list(group.iter(f"{SVG}polyline"))) for group in groups]


def peak(prometheus: Prometheus, panel: Panel, since: float, window: str) -> float:
    """Return the largest value of the panel's queries in the last `since` seconds; 0 without a value."""
    values = [
        value
        for query in panel.queries
        for value in prometheus.values(f"max_over_time(({with_window(query, window)})[{since:.0f}s:{SCRAPE_SECONDS}s])")
    ]
    return max(filter(math.isfinite, values), default=0.0)


def with_window(query: Query, window: str) -> str:
    """Return the query in the form that Grafana sends."""
    return query.expr.replace(WINDOW, window)


def _panel(prometheus: Prometheus, panel: Panel, times: Sequence[float], step: float, window: str) -> plot.Panel:
    lines: dict[str, Line] = {}
    for query in panel.queries:
        for series in prometheus.graph(with_window(query, window), times[0], times[-1], step):
            lines[_legend(query, panel, series)] = _on(times, series, step)
    largest = sorted(lines, key=lambda name: -max((y for y in lines[name] if y is not None), default=0.0))
    return plot.Panel(panel.title + UNITS[panel.unit], {name: lines[name] for name in sorted(largest[:MOST_LINES])})


def _legend(query: Query, panel: Panel, series: Series) -> str:
    named = re.sub(r"{{(\w+)}}", lambda found: series.labels.get(found[1], ""), query.legend)
    return named.strip() or panel.title


def _on(times: Sequence[float], series: Series, step: float) -> Line:
    """Return the series' values on the common axis; None for a gap."""
    values = {round((at - times[0]) / step): value for at, value in series.points if math.isfinite(value)}
    return [values.get(number) for number in range(len(times))]
