"""Statements that documents owe their readers, because the behavior surprises."""

import pytest

from hack.cluster.constants import ROOT


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("docs/limits.md", "Requests to the control port are signed, and not encrypted"),
        ("docs/limits.md", "The recognizer `openai` expects English unless `stt.language` names another language"),
        ("examples/own-agent/README.md", "`setup_fnc`, or a function `prewarm` of the module"),
    ],
)
def test_document_states_surprising_behavior(document: str, words: str) -> None:
    assert words in (ROOT / document).read_text()
