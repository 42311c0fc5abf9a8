"""docs/reference.md equals the output of `make docs` and is complete."""

import re
from pathlib import Path

import pytest
from voicesession_common.api.reasons import ConditionType, EndReason, Reason, SessionPhase

from hack.cluster.constants import ROOT
from hack.reference import document, metrics, outside, values
from hack.reference.__main__ import FILE
from hack.reference.source import constants, rows

PACKAGES = [
    ROOT / part
    for part in ("operator/voicesession_operator", "gateway/voicesession_gateway", "agent/voicesession_agent")
]
METRIC = re.compile(r'"(voicesession_(?!operator|agent"|cli)[a-z_]+)"')


def test_reference_is_up_to_date() -> None:
    assert FILE.read_text() == document.render(), "docs/reference.md is out of date: run `make docs`"


def test_every_metric_is_in_reference() -> None:
    written = {
        found for package in PACKAGES for path in package.rglob("*.py") for found in METRIC.findall(path.read_text())
    }
    assert written
    assert {name.removesuffix("_total") for name in written} <= {
        name.removesuffix("_total") for name in metrics.names()
    }


@pytest.mark.parametrize("words", [ConditionType, EndReason, SessionPhase, Reason])
def test_every_status_word_is_in_reference(words: type[Reason]) -> None:
    text = document.render()
    assert [word for word in words if f"| `{word}` |" not in text] == []


def test_values_take_the_comment_above() -> None:
    text = "# Not about a.\n\n# About a,\n# all of it.\na:\n  # About b.\n  b: [x]\n  c: {d: 1}\n"
    assert values.read(text) == [
        values.Value("a", "", "About a, all of it."),
        values.Value("a.b", "[x]", "About b."),
        values.Value("a.c", "{d: 1}", ""),
    ]


def test_errors_are_read_from_source() -> None:
    lines = [
        'A: Final = "Down"',
        'RetryableError(A, "it is down")',
        'TerminalError("Odd", f"it says {x}!")',
        "ConflictError(r, m)",
    ]
    assert list(outside.errors("\n".join(lines))) == [("Down", "it is down"), ("Odd", "it says …!")]


def test_undocumented_constant_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "words.py"
    path.write_text('class Word:\n    TOLD = "told"\n    """Said."""\n    SILENT = "silent"\n')
    documented, undocumented = constants(path)
    assert rows([documented]) == [("`told`", "Said.")]
    with pytest.raises(ValueError, match="SILENT"):
        rows([undocumented])
