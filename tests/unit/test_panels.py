"""Pictures of dashboards: one diagram for each panel, gaps where there is nothing, the largest lines of many."""

import xml.etree.ElementTree as ET
from math import nan
from pathlib import Path
from typing import Any

from hack.dashboards.conversations import DASHBOARD
from hack.dashboards.grafana import Dashboard, Panel, Query, Row
from tests.e2e.prometheus import Prometheus, Series
from tests.load import panels, plot
from tests.load.panels import SVG


class Told:
    """A Prometheus that answers every query with the same series."""

    def __init__(self, *series: Series) -> None:
        self.series = list(series)
        self.asked: list[str] = []

    def values(self, expr: str) -> list[float]:
        self.asked.append(expr)
        return [value for series in self.series for _, value in series.points]

    def graph(self, expr: str, begin: float, end: float, step: float) -> list[Series]:
        self.asked.append(expr)
        return self.series


class OnlyOf(Prometheus):
    """One that has a series for this query alone."""

    def __init__(self, expr: str) -> None:
        super().__init__("http://nowhere")
        self._expr = expr

    def graph(self, expr: str, begin: float, end: float, step: float) -> list[Series]:
        points = [(begin + at, 1.0) for at in range(int(end - begin) + 1)]
        return [Series({}, points)] if expr == self._expr else []


def drawn(told: Any, dashboard: Dashboard, folder: Path) -> ET.Element:
    path = folder / "dashboard.svg"
    panels.draw(told, dashboard, path, begin=1000, end=1010, window="1m")
    return ET.parse(path).getroot()  # noqa: S314  our own


def test_every_panel_of_a_dashboard_is_drawn(tmp_path: Path) -> None:
    told = Told(Series({"phase": "Active"}, [(1000 + at, at / 10) for at in range(11)]))
    root = drawn(told, DASHBOARD, tmp_path)
    titles = [text.text for text in root.iter(f"{SVG}text") if text.get("font-weight") == "bold"]
    assert len(titles) == len(DASHBOARD.panels)
    assert len(told.asked) == sum(len(panel.queries) for panel in DASHBOARD.panels)
    assert not [expr for expr in told.asked if "$" in expr]


def test_legends_are_filled_in_and_the_smallest_of_many_left_out(tmp_path: Path) -> None:
    series = [Series({"reason": f"r{n}"}, [(1000.0, n), (1010.0, n)]) for n in range(12)]
    row = Row("r", [Panel("Ends", "Of sessions.", [Query("x", "for {{reason}}")])])
    root = drawn(Told(*series), Dashboard("u", "t", "d", [row]), tmp_path)
    named = [text.text for text in root.iter(f"{SVG}text") if (text.text or "").startswith("for ")]
    assert sorted(named) == sorted(f"for r{n}" for n in range(3, 12))


def test_what_is_not_known_is_a_gap() -> None:
    shown = plot.render("s", [0, 1, 2, 3, 4], [plot.Panel("p", {"a": [1.0, 2.0, None, 1.0, None]})])
    lines = [line.get("points") or "" for line in ET.fromstring(shown).iter(f"{SVG}polyline")]  # noqa: S314  our own
    assert [len(points.split()) for points in lines] == [2, 2]


def test_no_number_is_no_point(tmp_path: Path) -> None:
    told = Told(Series({}, [(1000.0, 1.0), (1001.0, nan), (1002.0, 2.0)]))
    root = drawn(told, Dashboard("u", "t", "d", [Row("r", [Panel("P", "Of p.", [Query("x")])])]), tmp_path)
    assert len(list(root.iter(f"{SVG}polyline"))) == 2


def test_a_panel_without_data_has_its_title_and_no_line(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.svg"
    row = Row("r", [Panel("Some", "Of x.", [Query("x")]), Panel("None", "Of y.", [Query("y")])])
    panels.draw(OnlyOf("x"), Dashboard("u", "t", "d", [row]), path, begin=1000, end=1010, window="1m")
    assert panels.lines_in(path) == [1, 0]
    assert ">None<" in path.read_text()


def test_the_peak_of_a_panel_is_that_of_all_its_queries() -> None:
    told: Any = Told(Series({}, [(1000.0, nan), (1001.0, 0.5), (1002.0, 2.0)]))
    panel = Panel("P", "Of p.", [Query("rate(x[$window])"), Query("y")])
    assert panels.peak(told, panel, 90.4, "1m") == 2.0
    assert told.asked == ["max_over_time((rate(x[1m]))[90s:2s])", "max_over_time((y)[90s:2s])"]
    nothing: Any = Told(Series({}, [(1000.0, nan)]))
    assert panels.peak(nothing, panel, 90, "1m") == 0.0
