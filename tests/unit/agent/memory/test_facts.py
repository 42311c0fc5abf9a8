"""Facts: the only block that is written, conflicts, refusals, forgetting, and recall of earlier conversations."""

from dataclasses import replace

import pytest
from voicesession_agent.memory.backend import Block, RejectedError, Remark, Turn, UnavailableError, WriteConflictError
from voicesession_agent.memory.facts import (
    ATTEMPTS,
    KEYWORDS,
    MAX_FACT_CHARACTERS,
    BlockRefusedError,
    EditOutcome,
    forget,
    recall,
    remember,
)


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

    async def search(self, words: str) -> tuple[Remark, ...]:
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


class RemarksBackend(ConflictingBackend):
    def __init__(self, *remarks: Remark) -> None:
        super().__init__()
        self.remarks = remarks
        self.searched: list[str] = []

    async def search(self, words: str) -> tuple[Remark, ...]:
        self.searched.append(words)
        return tuple(remark for remark in self.remarks if words in remark.text)


@pytest.mark.parametrize(
    ("value", "written"),
    [("", "Likes blue."), ("Has a dog.", "Has a dog.\nLikes blue."), ("Has a dog.\n", "Has a dog.\nLikes blue.")],
)
async def test_fact_is_appended_to_named_block_only(value: str, written: str) -> None:
    memory = ConflictingBackend(Block("persona", "p"), Block("human", "h"), Block("notes", value))
    after = await remember(memory, "notes", "  Likes\n blue. ")
    assert memory.written == [("notes", written)]
    assert after.blocks == (Block("persona", "p"), Block("human", "h"), Block("notes", written))


@pytest.mark.parametrize(
    ("blocks", "outcome", "words"),
    [
        ((), EditOutcome.MISSING, 'no block "human"'),
        ((Block("persona", "p"), Block("project", "")), EditOutcome.MISSING, 'no block "human"'),
        ((Block("persona", ""), Block("human", "h", read_only=True)), EditOutcome.READ_ONLY, "read only"),
    ],
)
async def test_missing_or_read_only_block_is_refused_without_write(
    blocks: tuple[Block, ...], outcome: EditOutcome, words: str
) -> None:
    memory = ConflictingBackend(*blocks)
    with pytest.raises(BlockRefusedError, match=words) as refused:
        await remember(memory, "human", "Likes blue.")
    assert refused.value.outcome is outcome
    with pytest.raises(BlockRefusedError, match=words):
        await forget(memory, "human", "h")
    with pytest.raises(BlockRefusedError, match=words):
        await forget(memory, "human", "", everything=True)
    assert memory.written == []


async def test_full_block_loses_repeated_lines_before_refusal() -> None:
    memory = ConflictingBackend(Block("human", "Has a dog.\n\nhas a  dog\nHas a dog.", limit=22))
    await remember(memory, "human", "Likes blue.")
    assert memory.written == [("human", "Has a dog.\nLikes blue.")]
    with pytest.raises(BlockRefusedError, match="memory is full") as refused:
        await remember(memory, "human", "Has a cat.")
    assert refused.value.outcome is EditOutcome.FULL
    assert len(memory.written) == 1


async def test_block_with_room_keeps_repeated_lines() -> None:
    memory = ConflictingBackend(Block("human", "Has a dog.\nHas a dog.", limit=100))
    await remember(memory, "human", "Likes blue.")
    assert memory.written == [("human", "Has a dog.\nHas a dog.\nLikes blue.")]


async def test_overwritten_fact_is_written_again() -> None:
    memory = ConflictingBackend(Block("human", "Has a dog."))
    memory.overwrites = 1
    after = await remember(memory, "human", "Likes blue.")
    assert after.blocks[0].value == "Another pod's.\nLikes blue."
    memory.overwrites = ATTEMPTS
    with pytest.raises(WriteConflictError):
        await remember(memory, "human", "Has a cat.")


@pytest.mark.parametrize("known", ["Likes blue.", "likes  blue", '"LIKES BLUE!"'])
async def test_existing_fact_is_not_written_again(known: str) -> None:
    memory = ConflictingBackend(Block("human", known))
    await remember(memory, "human", "Likes blue.")
    assert memory.written == []


@pytest.mark.parametrize(
    ("fact", "words"), [("  ", "nothing"), ("x" * (MAX_FACT_CHARACTERS + 1), f"{MAX_FACT_CHARACTERS} characters")]
)
async def test_invalid_fact_is_rejected_with_reason(fact: str, words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        await remember(ConflictingBackend(Block("human", "")), "human", fact)


async def test_conflict_is_retried_a_limited_number_of_times() -> None:
    memory = ConflictingBackend(Block("human", ""), conflicts=ATTEMPTS - 1)
    await remember(memory, "human", "x")
    assert memory.written == [("human", "x")]
    with pytest.raises(WriteConflictError):
        await remember(ConflictingBackend(Block("human", ""), conflicts=ATTEMPTS), "human", "x")


@pytest.mark.parametrize(
    ("fact", "left", "removed"),
    [
        ("Likes blue.", "Has a dog.\nR&D <lead>", 1),
        ("likes   BLUE", "Has a dog.\nR&D <lead>", 1),
        ("R&amp;D &lt;lead&gt;", "Has a dog.\nLikes blue.", 1),
        ("Has a dog.\nLikes blue.", "R&D <lead>", 2),
    ],
)
async def test_forget_removes_lines_equal_to_fact(fact: str, left: str, removed: int) -> None:
    memory = ConflictingBackend(Block("persona", "Likes blue."), Block("human", "Has a dog.\nLikes blue.\nR&D <lead>"))
    result = await forget(memory, "human", fact)
    assert memory.written == [("human", left)]
    assert (result.removed, result.blocks[0].value) == (removed, "Likes blue.")


async def test_forget_of_unknown_fact_does_not_write() -> None:
    memory = ConflictingBackend(Block("human", "Has a dog."))
    assert (await forget(memory, "human", "dog")).removed == 0
    with pytest.raises(RejectedError, match="nothing to forget"):
        await forget(memory, "human", " .\n ")
    assert memory.written == []


async def test_forget_of_all_facts_clears_named_block_only() -> None:
    memory = ConflictingBackend(Block("persona", "p"), Block("human", "Has a dog.\n\nLikes blue."))
    result = await forget(memory, "human", "", everything=True)
    assert memory.written == [("human", "")]
    assert (result.removed, result.blocks) == (2, (Block("persona", "p"), Block("human", "")))


async def test_forgotten_fact_of_stale_write_is_removed_again() -> None:
    memory = ConflictingBackend(Block("human", "Another pod's.\nLikes blue."))
    memory.overwrites = 1
    result = await forget(memory, "human", "Another pod's.")
    assert (result.removed, result.blocks[0].value) == (1, "")


async def test_recall_sorts_remarks_by_words_and_time() -> None:
    old, both = Remark("2026-11-01", "user", "blue"), Remark("2026-11-02", "user", "blue dog")
    new, other = Remark("2026-11-03", "assistant", "dog"), Remark("2026-11-04", "user", "cat")
    memory = RemarksBackend(old, both, new, other)
    assert await recall(memory, "blue, dog?") == [both, new, old]
    await recall(memory, "the hotel in Berlin, Berlin and a dog")
    assert memory.searched == ["blue", "dog", "Berlin", "hotel", "the"][: 2 + KEYWORDS]


async def test_recall_without_words_or_memory_raises() -> None:
    with pytest.raises(RejectedError, match="nothing to search for"):
        await recall(RemarksBackend(), " ?")

    class Unavailable(RemarksBackend):
        async def search(self, words: str) -> tuple[Remark, ...]:
            raise UnavailableError("Letta answers 404")

    with pytest.raises(UnavailableError):
        await recall(Unavailable(), "blue dog")
