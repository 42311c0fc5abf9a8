"""Grafana's dashboard format, as far as ours need it: what a panel shows is said once, how it is laid out nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

SCHEMA_VERSION: Final = 39
COLUMNS = 24
"""Grafana's grid."""
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WINDOW: Final = "$window"
"""The dashboard's own variable: over how long rates and quantiles are taken."""


@dataclass(frozen=True)
class Query:
    """`legend` may hold labels: `{{phase}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`unit` is Grafana's: s, short, percentunit, bytes, reqps; `limit` is where it turns red."""

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
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    description: str
    rows: Sequence[Row]

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


def quantiles(histogram: str, *shares: float, by: str = "", where: str = "") -> list[Query]:
    """Quantiles of a histogram over the window, apart by the label `by`."""
    groups, suffix = ("le, " + by, f" {{{{{by}}}}}") if by else ("le", "")
    rate = f"sum by ({groups}) (rate({histogram}_bucket{where}[{WINDOW}]))"
    return [Query(f"histogram_quantile({share:g}, {rate})", f"p{100 * share:g}{suffix}") for share in shares]


def means(histogram: str, by: str) -> Query:
    """The mean of a histogram over the window, apart by the label `by`."""
    total, count = (f"sum by ({by}) (rate({histogram}_{what}[{WINDOW}]))" for what in ("sum", "count"))
    return Query(f"{total} / ({count} > 0)", f"{{{{{by}}}}}")


def rise(counter: str, *by: str, where: str = "") -> Query:
    """By how much a counter has risen over the window, apart by labels."""
    groups = f" by ({', '.join(by)})" if by else ""
    return Query(f"sum{groups} (increase({counter}{where}[{WINDOW}]))", " ".join(f"{{{{{name}}}}}" for name in by))


def rate(counter: str, *by: str, where: str = "") -> Query:
    """How often it happens each second over the window, apart by labels."""
    groups = f" by ({', '.join(by)})" if by else ""
    return Query(f"sum{groups} (rate({counter}{where}[{WINDOW}]))", " ".join(f"{{{{{name}}}}}" for name in by))


def render(dashboard: Dashboard) -> Json:
    """The document that Grafana imports."""
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
        "panels": _laid_out(dashboard.rows),
    }


def _laid_out(rows: Sequence[Row]) -> list[Json]:
    """Row by row, each panel to the right of the last one while there is room."""
    found: list[Json] = []
    top = 0
    for row in rows:
        found.append(_row(row, len(found) + 1, top))
        left, top = 0, top + 1
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top = 0, top + panel.height
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            found.append(_panel(panel, len(found) + 1, place))
            left += panel.width
        top += max(panel.height for panel in row.panels)
    return found


def _row(row: Row, number: int, top: int) -> Json:
    place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: Json) -> Json:
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


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    shown: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "stat":
        return {**shown, "color": {"mode": "thresholds"}}
    custom: Json = {"drawStyle": "line", "fillOpacity": 30 if panel.stacked else 5, "showPoints": "never"}
    custom["stacking"] = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    custom["thresholdsStyle"] = {"mode": "off" if panel.limit is None else "dashed"}
    return {**shown, "color": {"mode": "palette-classic"}, "custom": custom}


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _target(query: Query, number: int) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
    }


def _source() -> Json:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _window() -> Json:
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
