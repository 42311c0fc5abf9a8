"""Facts as lines of the one memory block that the agent writes, and recall of earlier conversations."""

import asyncio
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from voicesession_agent.memory.backend import Block, MemoryBackend, RejectedError, Remark, WriteConflictError

MAX_FACT_CHARACTERS: Final = 500
"""A few sentences; a model cannot store a whole conversation as a fact."""
ATTEMPTS: Final = 5
"""With eight concurrent writers, Letta rejected four to six of them, and none twice in a row."""
KEYWORDS: Final = 3
"""Most words of a search; Letta compares one text at a time."""
END_OF_SENTENCE: Final = " .!?;,\"'"


class MemoryEdit(StrEnum):
    """Edit of the memory; also a metric label with a fixed set of values."""

    REMEMBER = "remember"
    FORGET = "forget"


class EditOutcome(StrEnum):
    """Outcome of an edit; also a metric label with a fixed set of values. FAILED covers all others."""

    OK = "ok"
    FULL = "full"
    MISSING = "missing"
    READ_ONLY = "read_only"
    FAILED = "failed"


class BlockRefusedError(RejectedError):
    """The block accepts no edit; `block` is the refusing block, or None if there is no block with that label."""

    def __init__(self, outcome: EditOutcome, message: str, block: Block | None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.block = block


@dataclass(frozen=True)
class EditResult:
    """The blocks after an edit, and the number of facts that it removed."""

    blocks: tuple[Block, ...]
    removed: int = 0


async def remember(backend: MemoryBackend, label: str, fact: str) -> EditResult:
    """Append `fact` to the block with that label. Raise MemoryBackendError."""
    line = _line(fact)
    return await _edit_block(backend, label, lambda block: _with_line(block, line))


async def forget(backend: MemoryBackend, label: str, fact: str, *, everything: bool = False) -> EditResult:
    """Remove the lines that are equal to a line of `fact`, or all lines, from the block. Raise MemoryBackendError."""
    unwanted = _normalized(fact.splitlines()) - {""}
    if not everything and not unwanted:
        raise RejectedError("there is nothing to forget")

    def without(block: Block) -> list[str]:
        return [] if everything else [line for line in block.value.splitlines() if _normalize(line) not in unwanted]

    return await _edit_block(backend, label, without)


async def recall(backend: MemoryBackend, words: str) -> list[Remark]:
    """Return the remarks with most of the longest KEYWORDS words, the newest first. Raise MemoryBackendError."""
    keywords = sorted(dict.fromkeys(re.findall(r"\w+", words)), key=len, reverse=True)[:KEYWORDS]
    if not keywords:
        raise RejectedError("there is nothing to search for")
    found = await asyncio.gather(*(backend.search(word) for word in keywords))
    count = Counter(remark for remarks in found for remark in set(remarks))
    return sorted(count, key=lambda remark: (count[remark], remark.at), reverse=True)


def find_block(blocks: Sequence[Block], label: str) -> Block | None:
    """Return the block with that label, if any."""
    return next((block for block in blocks if block.label == label), None)


async def _edit_block(backend: MemoryBackend, label: str, change: Callable[[Block], list[str]]) -> EditResult:
    """Give the block the lines that `change` returns, after conflicts again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await _try_edit(backend, label, change)
        except WriteConflictError:
            continue
    return await _try_edit(backend, label, change)


async def _try_edit(backend: MemoryBackend, label: str, change: Callable[[Block], list[str]]) -> EditResult:
    """Edit the block. Raise WriteConflictError if another pod overwrote it, starting from the same blocks."""
    blocks = await backend.load_blocks()
    block = _writable_block(blocks, label)
    before, lines = block.value.splitlines(), change(block)
    if lines == before:
        return EditResult(blocks)
    await backend.write(label, "\n".join(lines))
    after = await backend.load_blocks()
    written = find_block(after, label)
    if written is None or not _is_done(before, lines, written.value.splitlines()):
        raise WriteConflictError("another client wrote at the same time")
    return EditResult(after, max(0, _count(before) - _count(lines)))


def _is_done(before: Sequence[str], lines: Sequence[str], after: Sequence[str]) -> bool:
    """Return True if `after` has every added line and no removed one; other clients may have added more."""
    old, new, found = _normalized(before), _normalized(lines), _normalized(after)
    return new - old <= found and not (old - new - {""}) & found


def _writable_block(blocks: Sequence[Block], label: str) -> Block:
    """Return the block with that label, and never another one. Raise BlockRefusedError."""
    block = find_block(blocks, label)
    if block is None:
        raise BlockRefusedError(EditOutcome.MISSING, f'memory has no block "{label}"', None)
    if block.read_only:
        raise BlockRefusedError(EditOutcome.READ_ONLY, f'the memory block "{label}" is read only', block)
    return block


def _line(fact: str) -> str:
    """Return the fact as a single line. Raise RejectedError if it is empty or too long."""
    line = re.sub(r"\s+", " ", fact).strip()
    if not line:
        raise RejectedError("there is nothing to remember")
    if len(line) > MAX_FACT_CHARACTERS:
        raise RejectedError(f"a fact may have {MAX_FACT_CHARACTERS} characters")
    return line


def _with_line(block: Block, line: str) -> list[str]:
    """Return the block's lines with the line appended, or unchanged if they have it, so that a retry is safe.

    A block that would be too long loses its repeated lines. Raise BlockRefusedError if it is still too long.
    """
    lines = block.value.splitlines()
    if _normalize(line) in _normalized(lines):
        return lines
    for kept in (lines, _distinct(lines)):
        if not block.limit or len("\n".join([*kept, line])) <= block.limit:
            return [*kept, line]
    raise BlockRefusedError(EditOutcome.FULL, f'memory is full: the block "{block.label}" has no room', block)


def _distinct(lines: Sequence[str]) -> list[str]:
    """Return the first of each group of equal lines, without empty ones."""
    first: dict[str, str] = {}
    for line in lines:
        first.setdefault(_normalize(line), line)
    return [line for key, line in first.items() if key]


def _count(lines: Sequence[str]) -> int:
    return sum(1 for line in lines if line.strip())


def _normalized(lines: Sequence[str]) -> set[str]:
    return {_normalize(line) for line in lines}


def _normalize(line: str) -> str:
    """Return the line for comparisons: the model repeats it as the prompt shows it, or in other letters and marks."""
    text = unicodedata.normalize("NFKC", html.unescape(line)).casefold()
    return " ".join(text.split()).strip(END_OF_SENTENCE)
