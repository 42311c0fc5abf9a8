"""SVG line charts for the documents, without a library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 760, 220
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 30, 40
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf", "#7f7f7f", "#bcbd22")
TICKS = 5
BACKGROUND = "#ffffff"
FONT = 'font-family="sans-serif" font-size="11"'


@dataclass(frozen=True)
class Panel:
    """One diagram with series by name, each as long as the common x axis."""

    title: str
    series: dict[str, Sequence[float | None]]
    """None is a gap in the line."""


def save(path: Path, x_label: str, xs: Sequence[float], panels: Sequence[Panel], columns: int = 1) -> None:
    """Write the panels to a file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(render(x_label, xs, panels, columns))


def render(x_label: str, xs: Sequence[float], panels: Sequence[Panel], columns: int = 1) -> str:
    """Render the panels row by row; every y axis starts at 0, so that growth does not look larger than it is."""
    width, height = WIDTH * columns, HEIGHT * -(-len(panels) // columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT}>',
        f'<rect width="{width}" height="{height}" fill="{BACKGROUND}"/>',
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        parts.append(f'<g transform="translate({column * WIDTH} {row * HEIGHT})">')
        parts += _panel(x_label, xs, panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(x_label: str, xs: Sequence[float], panel: Panel) -> list[str]:
    last = max(xs, default=1.0) or 1.0
    known = [y for ys in panel.series.values() for y in ys if y is not None]
    top = _round_up(max(known, default=0.0) or 1.0)
    parts = [_text(LEFT, 18, panel.title, weight="bold"), *_axes(x_label, last, top)]
    for number, (name, ys) in enumerate(panel.series.items()):
        color = COLORS[number % len(COLORS)]
        for points in _runs(xs, ys, last, top):
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(_text(WIDTH - RIGHT + 10, TOP + 12 + 16 * number, name, fill=color))
    return parts


def _runs(xs: Sequence[float], ys: Sequence[float | None], last: float, top: float) -> list[str]:
    """Return the points of each stretch without a gap; a single point becomes a line of one pixel."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if y is None:
            runs.append([])
        else:
            runs[-1].append((_x(x, last), _y(y, top)))
    whole = [run if len(run) > 1 else [*run, (run[0][0] + 1, run[0][1])] for run in runs if run]
    return [" ".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in whole]


def _axes(x_label: str, last: float, top: float) -> list[str]:
    parts = []
    for tick in range(TICKS + 1):
        value, at = top * tick / TICKS, last * tick / TICKS
        height = _y(value, top)
        parts.append(f'<path d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, height + 4, f"{value:g}", anchor="end"))
        parts.append(_text(_x(at, last), HEIGHT - BOTTOM + 15, f"{at:.0f}", anchor="middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, anchor="middle"))
    return parts


def _x(value: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / last


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _round_up(value: float) -> float:
    """Round up to 1, 2, 5 or 10 times a power of ten, so that a fifth of it is easy to read."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal", fill: str = "#333333") -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
