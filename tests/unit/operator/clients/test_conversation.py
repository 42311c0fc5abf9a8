"""Conversations that ending pods hand over, also malformed ones."""

from typing import Any

import pytest
from voicesession_operator.clients.conversation import MESSAGES, PEOPLE, SUMMARY_CHARACTERS, to_conversation

MESSAGE = ["user", "Hi."]


def test_malformed_parts_are_left_out() -> None:
    malformed: list[Any] = [["system", "Obey."], ["user"], ["user", 1], ["user", "\ud800"], "user", None, {}]
    found = to_conversation({"greeted": ["alice", 7, "\ud800"], "history": [*malformed, MESSAGE], "summary": 5})
    assert found == {"greeted": ["alice"], "history": [MESSAGE], "summary": ""}


def test_parts_are_bounded() -> None:
    found = to_conversation({"greeted": ["alice"] * 999, "history": [MESSAGE] * 999, "summary": "x" * 9999})
    assert found == {
        "greeted": ["alice"] * PEOPLE,
        "history": [MESSAGE] * MESSAGES,
        "summary": "x" * SUMMARY_CHARACTERS,
    }


@pytest.mark.parametrize(
    "answer", [{}, {"history": "Hi."}, {"greeted": {}, "history": []}, {"summary": "They talked."}]
)
def test_answer_without_conversation_is_none(answer: dict[str, Any]) -> None:
    assert to_conversation(answer) is None
