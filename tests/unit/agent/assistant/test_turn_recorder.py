"""What the model is told, and what memory is told."""

import asyncio
from typing import Any

import aiohttp
import pytest
from voicesession_agent.assistant.assistant import render
from voicesession_agent.assistant.turn_recorder import TurnPairing, TurnRecorder
from voicesession_agent.memory.backend import Block, Turn


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


class Link:
    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.turns: list[tuple[str, int]] = []

    async def turn(self, turn: Turn, number: int) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.turns.append((turn.user, number))


@pytest.mark.parametrize(
    ("faults", "turns", "lost"),
    [
        ([], [("One.", 1), ("Two.", 2)], 0),
        ([TimeoutError()], [("One.", 1), ("Two.", 2)], 0),
        ([TimeoutError(), aiohttp.ClientConnectionError()], [("Two.", 2)], 1),
    ],
)
async def test_a_turn_is_handed_over_twice_at_most(
    faults: list[Exception], turns: list[tuple[str, int]], lost: int
) -> None:
    losses: list[bool] = []
    link: Any = Link(*faults)
    taker = TurnRecorder(link, lambda: losses.append(True))
    for text in ("One.", "Two."):
        taker.add("user", text)
        taker.add("assistant", "Yes.")
    await taker.close()
    assert (link.turns, len(losses)) == (turns, lost)


async def test_a_turn_that_the_end_cuts_short_is_lost() -> None:
    class Stuck(Link):
        async def turn(self, turn: Turn, number: int) -> None:
            await asyncio.Event().wait()

    losses: list[bool] = []
    link: Any = Stuck()
    taker = TurnRecorder(link, lambda: losses.append(True))
    taker.add("user", "One.")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(taker.close(), 0.01)
    assert losses == [True]
