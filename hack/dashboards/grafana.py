"""The part of Grafana's dashboard format that the dashboards need; the layout is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject

SCHEMA_VERSION: Final = 39
COLUMNS = 24
"""Columns of Grafana's grid."""
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WINDOW: Final = "$window"
"""Variable of the dashboard: the time window of rates and quantiles."""


@dataclass(frozen=True)
class Query:
    """One PromQL query; `legend` may contain labels such as `{{phase}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel; `unit` is a Grafana unit (s, short, percentunit, bytes, reqps), `limit` the threshold for red."""

    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    """timeseries or stat."""
    stacked: bool = False
    limit: float | None = None
    width: int = 8

    @property
    def height(self) -> int:
        return 4 if self.kind == "stat" else 8


@dataclass(frozen=True)
class Row:
    """A titled group of panels."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


def quantiles(histogram: str, *shares: float, by: str = "", where: str = "") -> list[Query]:
    """Return quantiles of a histogram over the window, grouped by the label `by`."""
    groups, suffix = ("le, " + by, f" {{{{{by}}}}}") if by else ("le", "")
    rate = f"sum by ({groups}) (rate({histogram}_bucket{where}[{WINDOW}]))"
    return [Query(f"histogram_quantile({share:g}, {rate})", f"p{100 * share:g}{suffix}") for share in shares]


def means(histogram: str, by: str) -> Query:
    """Return the mean of a histogram over the window, grouped by the label `by`."""
    total, count = (f"sum by ({by}) (rate({histogram}_{part}[{WINDOW}]))" for part in ("sum", "count"))
    return Query(f"{total} / ({count} > 0)", f"{{{{{by}}}}}")


def increase(counter: str, *by: str, where: str = "") -> Query:
    """Return the increase of a counter over the window, grouped by labels."""
    groups = f" by ({', '.join(by)})" if by else ""
    return Query(f"sum{groups} (increase({counter}{where}[{WINDOW}]))", " ".join(f"{{{{{name}}}}}" for name in by))


def rate(counter: str, *by: str, where: str = "") -> Query:
    """Return the rate of a counter per second over the window, grouped by labels."""
    groups = f" by ({', '.join(by)})" if by else ""
    return Query(f"sum{groups} (rate({counter}{where}[{WINDOW}]))", " ".join(f"{{{{{name}}}}}" for name in by))


def render(dashboard: Dashboard) -> JsonObject:
    """Return the JSON model that Grafana imports."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["voicesession"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), _window()]},
        "panels": _layout(dashboard.rows),
    }


def _layout(rows: Sequence[Row]) -> list[JsonObject]:
    """Place the panels row by row, from left to right, with a new line for panels that do not fit."""
    placed: list[JsonObject] = []
    top = 0
    for row in rows:
        placed.append(_row(row, len(placed) + 1, top))
        left, top = 0, top + 1
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top = 0, top + panel.height
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            placed.append(_panel(panel, len(placed) + 1, place))
            left += panel.width
        top += max(panel.height for panel in row.panels)
    return placed


def _row(row: Row, number: int, top: int) -> JsonObject:
    place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: JsonObject) -> JsonObject:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": [_target(query, number) for number, query in enumerate(panel.queries)],
    }


def _defaults(panel: Panel) -> JsonObject:
    steps: list[JsonObject] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    defaults: JsonObject = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "stat":
        return {**defaults, "color": {"mode": "thresholds"}}
    custom: JsonObject = {"drawStyle": "line", "fillOpacity": 30 if panel.stacked else 5, "showPoints": "never"}
    custom["stacking"] = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    custom["thresholdsStyle"] = {"mode": "off" if panel.limit is None else "dashed"}
    return {**defaults, "color": {"mode": "palette-classic"}, "custom": custom}


def _options(panel: Panel) -> JsonObject:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _target(query: Query, number: int) -> JsonObject:
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
    }


def _source() -> JsonObject:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _window() -> JsonObject:
    choices = ["5m", "15m", "30m", "1h", "6h", "1d"]
    options = [{"text": choice, "value": choice, "selected": choice == "15m"} for choice in choices]
    current = {"text": "15m", "value": "15m"}
    return {
        "name": "window",
        "type": "custom",
        "label": "Rates and quantiles over",
        "query": ",".join(choices),
        "current": current,
        "options": options,
    }
