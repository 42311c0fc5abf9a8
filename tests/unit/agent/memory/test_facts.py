"""Writing of facts: the target block, conflicts and rejections."""

from dataclasses import replace

import pytest
from voicesession_agent.memory.backend import Block, RejectedError, Turn, WriteConflictError
from voicesession_agent.memory.facts import ATTEMPTS, MAX_FACT_CHARACTERS, remember


class ConflictingBackend:
    def __init__(self, *blocks: Block, conflicts: int = 0) -> None:
        self.blocks = blocks
        self.conflicts = conflicts
        self.overwrites = 0
        self.written: list[tuple[str, str]] = []

    async def load_blocks(self) -> tuple[Block, ...]:
        return self.blocks

    async def capture(self, turn: Turn) -> None:
        raise NotImplementedError

    async def write(self, label: str, value: str) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise WriteConflictError("409")
        self.written.append((label, value))
        if self.overwrites:
            self.overwrites -= 1
            value = "Another pod's."
        self.blocks = tuple(replace(b, value=value) if b.label == label else b for b in self.blocks)


@pytest.mark.parametrize(
    ("blocks", "written"),
    [
        ((Block("persona", "p"), Block("human", "")), ("human", "Likes blue.")),
        ((Block("human", "Has a dog."), Block("persona", "p")), ("human", "Has a dog.\nLikes blue.")),
        ((Block("project", "P."), Block("other", "")), ("project", "P.\nLikes blue.")),
    ],
)
async def test_fact_is_appended_to_human_block_or_first_block(
    blocks: tuple[Block, ...], written: tuple[str, str]
) -> None:
    memory = ConflictingBackend(*blocks)
    after = await remember(memory, "  Likes\n blue. ")
    assert memory.written == [written]
    assert written in [(block.label, block.value) for block in after]


async def test_overwritten_fact_is_written_again() -> None:
    memory = ConflictingBackend(Block("human", "Has a dog."))
    memory.overwrites = 1
    after = await remember(memory, "Likes blue.")
    assert after[0].value == "Another pod's.\nLikes blue."
    memory.overwrites = ATTEMPTS
    with pytest.raises(WriteConflictError):
        await remember(memory, "Has a cat.")


async def test_existing_fact_is_not_written_again() -> None:
    memory = ConflictingBackend(Block("human", "Likes blue."))
    await remember(memory, "Likes blue.")
    assert memory.written == []


@pytest.mark.parametrize(
    ("blocks", "fact", "words"),
    [
        ((), "x", "no block"),
        ((Block("human", ""),), "  ", "nothing"),
        ((Block("human", ""),), "x" * (MAX_FACT_CHARACTERS + 1), "500 characters"),
        ((Block("human", "12345678", limit=10),), "123", "full"),
    ],
)
async def test_invalid_fact_is_rejected_with_reason(blocks: tuple[Block, ...], fact: str, words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        await remember(ConflictingBackend(*blocks), fact)


async def test_conflict_is_retried_a_limited_number_of_times() -> None:
    memory = ConflictingBackend(Block("human", ""), conflicts=ATTEMPTS - 1)
    await remember(memory, "x")
    assert memory.written == [("human", "x")]
    with pytest.raises(WriteConflictError):
        await remember(ConflictingBackend(Block("human", ""), conflicts=ATTEMPTS), "x")
