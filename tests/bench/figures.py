"""Results as tables with percentiles, and the document that contains them."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster import constants

PAGE = constants.ROOT / "docs" / "benchmarks.md"
STORE = constants.ROOT / "docs" / "benchmarks.json"
PERCENTILES = (50, 90, 99)
HEAD = """# Benchmarks

Written by `make bench` from docs/benchmarks.json; every section names its day and machine, and can be measured
again alone: `.venv/bin/python -m tests.bench.bench --only NAME`. Times are seconds unless a row says otherwise;
percentiles are nearest-rank. The cluster runs on the same machine as the people, the agents and the measuring program.
[scaling.md](scaling.md) draws conclusions from them, and [defects.md](defects.md) lists the tests of known defects.
"""


@dataclass
class Table:
    """A table with a title."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def render(self) -> str:
        """Return the table in Markdown."""
        lines = [f"**{self.title}**", "", _row(self.columns), _row(["---"] * len(self.columns))]
        return "\n".join([*lines, *(_row(row) for row in self.rows)])


@dataclass
class Section:
    """The results of one benchmark; `notes` are sentences under its tables, `misses` are the missed aims."""

    name: str
    title: str
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    measured: str = ""
    machine: str = ""

    def render(self) -> str:
        """Return the section in Markdown."""
        parts = [f"## {self.title}", f"*{self.measured}; {self.machine}; bench `{self.name}`*"]
        missed = [f"**Missed: {miss}.**" for miss in self.misses]
        return "\n\n".join([*parts, *(t.render() for t in self.tables), *missed, *self.notes])


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile; raise ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def distribution(title: str, samples: Mapping[str, Sequence[float]]) -> Table:
    """Return a table with count, percentiles and maximum of each named series, in seconds."""
    table = Table(title, ["", "n", *(f"p{p}" for p in PERCENTILES), "max"])
    for name, values in samples.items():
        if values:
            figures = [*(percentile(values, p) for p in PERCENTILES), max(values)]
            table.rows.append([name, str(len(values)), *(f"{value:.3f}" for value in figures)])
        else:
            table.rows.append([name, "0", *["-"] * (len(PERCENTILES) + 1)])
    return table


def stamp(section: Section, load_before: float, versions: str) -> Section:
    """Add the date, the machine, and its load average before and after."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    section.measured = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    section.machine = (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"load average {load_before:.1f} before and {os.getloadavg()[0]:.1f} after; {versions}"
    )
    return section


def keep(section: Section, store: Path = STORE, page: Path = PAGE) -> None:
    """Store the section's results, and write the document from all stored sections."""
    known = json.loads(store.read_text()) if store.exists() else {}
    known[section.name] = asdict(section)
    store.parent.mkdir(exist_ok=True)
    store.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    page.write_text(page_of([load(raw) for raw in known.values()]))


def page_of(sections: Sequence[Section]) -> str:
    """Return the whole document, with sections in the order of the numbers in their titles."""
    ordered = sorted(sections, key=lambda s: int(s.title.split(".")[0]))
    return "\n\n".join([HEAD.strip(), *(s.render() for s in ordered)]) + "\n"


def load(raw: dict[str, object]) -> Section:
    """Convert the result of dataclasses.asdict back to a section."""
    fields = {**raw, "tables": [Table(**table) for table in raw["tables"]]}  # type: ignore[attr-defined]
    return Section(**fields)  # type: ignore[arg-type]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
