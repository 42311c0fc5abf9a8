"""Where and how a fact that somebody asked to be remembered is written down."""

import re
from collections.abc import Sequence
from typing import Final

from voicesession_agent.memory.backend import Block, MemoryBackend, RejectedError, WriteConflictError

MAX_FACT_CHARACTERS: Final = 500
"""A few sentences; a model that wants to store a whole conversation is refused."""
LABEL: Final = "human"
ATTEMPTS: Final = 5
"""With eight writers at once Letta refused four to six of them, and none a second time in a row."""


async def remember(backend: MemoryBackend, fact: str) -> tuple[Block, ...]:
    """Append `fact` to memory and answer the blocks as they are then. Raise MemoryBackendError."""
    line = _line(fact)
    for _ in range(ATTEMPTS - 1):
        try:
            return await _append(backend, line)
        except WriteConflictError:
            continue
    return await _append(backend, line)


async def _append(backend: MemoryBackend, line: str) -> tuple[Block, ...]:
    """Raise ConflictError when another pod, which began from the same blocks, has written over it."""
    blocks = await backend.load_blocks()
    block = _target_block(blocks)
    written = _with_line(block, line)
    if written is block:
        return blocks
    await backend.write(block.label, written.value)
    after = await backend.load_blocks()
    if not any(line in found.value.splitlines() for found in after if found.label == block.label):
        raise WriteConflictError("somebody else wrote at the same moment")
    return after


def _line(fact: str) -> str:
    line = re.sub(r"\s+", " ", fact).strip()
    if not line:
        raise RejectedError("there is nothing to remember")
    if len(line) > MAX_FACT_CHARACTERS:
        raise RejectedError(f"a fact may have {MAX_FACT_CHARACTERS} characters")
    return line


def _target_block(blocks: Sequence[Block]) -> Block:
    """The block about the human, else the first."""
    if not blocks:
        raise RejectedError("memory has no block to write to")
    return next((block for block in blocks if block.label == LABEL), blocks[0])


def _with_line(block: Block, line: str) -> Block:
    """The very same block when it says so already: a call whose answer was lost may be made again."""
    lines = block.value.splitlines()
    if line in lines:
        return block
    value = "\n".join([*lines, line])
    if block.limit and len(value) > block.limit:
        raise RejectedError("memory is full")
    return Block(block.label, value, block.description, block.limit)
