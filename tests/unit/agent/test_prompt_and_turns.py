"""What the model is told, and what memory is told."""

import pytest
from voicesession_agent.memory import Block, Turn
from voicesession_agent.prompt import render
from voicesession_agent.turns import TurnPairing


def test_instructions_alone() -> None:
    assert render("Be brief.", ()) == "Be brief."
    assert render("Be brief.", (Block("human", "  "),)) == "Be brief."


def test_blocks_follow_with_label_description_and_value() -> None:
    text = render("Be brief.", (Block("human", "Likes blue.", "About the human."), Block("project", "P.")))
    assert text.startswith("Be brief.")
    assert '<memory_block label="human">' in text
    assert "<description>About the human.</description>" in text
    assert "<value>Likes blue.</value>" in text
    assert text.count("<memory_block") == 2
    assert text.count("<description>") == 1


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([("assistant", "Hello, this is me.")], []),
        ([("user", "Hi."), ("assistant", "Hello.")], [Turn("Hi.", "Hello.")]),
        ([("user", "One."), ("user", "Two."), ("assistant", "Yes.")], [Turn("One. Two.", "Yes.")]),
        ([("user", "Hi."), ("assistant", "Hello."), ("assistant", "More.")], [Turn("Hi.", "Hello.")]),
        ([("user", "Hi.")], [Turn("Hi.", "")]),
        ([("user", ""), ("assistant", "Yes.")], []),
        ([("system", "x"), ("user", "Hi."), ("assistant", "")], [Turn("Hi.", "")]),
    ],
)
def test_turns(messages: list[tuple[str, str]], turns: list[Turn]) -> None:
    pairing = TurnPairing()
    found = [pairing.add(role, text) for role, text in messages]
    assert [t for t in (*found, pairing.rest()) if t is not None] == turns
