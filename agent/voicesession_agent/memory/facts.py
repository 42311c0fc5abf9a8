"""Writing of facts into memory blocks."""

import re
from collections.abc import Sequence
from typing import Final

from voicesession_agent.memory.backend import Block, MemoryBackend, RejectedError, WriteConflictError

MAX_FACT_CHARACTERS: Final = 500
"""A few sentences; a model cannot store a whole conversation as a fact."""
LABEL: Final = "human"
ATTEMPTS: Final = 5
"""With eight concurrent writers, Letta rejected four to six of them, and none twice in a row."""


async def remember(backend: MemoryBackend, fact: str) -> tuple[Block, ...]:
    """Append `fact` to memory and return the updated blocks. Raise MemoryBackendError."""
    line = _line(fact)
    for _ in range(ATTEMPTS - 1):
        try:
            return await _append(backend, line)
        except WriteConflictError:
            continue
    return await _append(backend, line)


async def _append(backend: MemoryBackend, line: str) -> tuple[Block, ...]:
    """Append a line. Raise WriteConflictError if another pod overwrote it, starting from the same blocks."""
    blocks = await backend.load_blocks()
    block = _target_block(blocks)
    written = _with_line(block, line)
    if written is block:
        return blocks
    await backend.write(block.label, written.value)
    after = await backend.load_blocks()
    if not any(line in found.value.splitlines() for found in after if found.label == block.label):
        raise WriteConflictError("another client wrote at the same time")
    return after


def _line(fact: str) -> str:
    """Return the fact as a single line. Raise RejectedError if it is empty or too long."""
    line = re.sub(r"\s+", " ", fact).strip()
    if not line:
        raise RejectedError("there is nothing to remember")
    if len(line) > MAX_FACT_CHARACTERS:
        raise RejectedError(f"a fact may have {MAX_FACT_CHARACTERS} characters")
    return line


def _target_block(blocks: Sequence[Block]) -> Block:
    """Return the block about the human, or else the first one. Raise RejectedError if none exists."""
    if not blocks:
        raise RejectedError("memory has no block to write to")
    return next((block for block in blocks if block.label == LABEL), blocks[0])


def _with_line(block: Block, line: str) -> Block:
    """Return the block with the line appended, or the same block if it already contains the line.

    The same block makes a retry after a lost response safe.
    """
    lines = block.value.splitlines()
    if line in lines:
        return block
    value = "\n".join([*lines, line])
    if block.limit and len(value) > block.limit:
        raise RejectedError("memory is full")
    return Block(block.label, value, block.description, block.limit)
