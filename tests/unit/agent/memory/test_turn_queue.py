"""Queue of turns for memory: its limit, and the turns it drops."""

import asyncio

import pytest
from voicesession_agent.memory.backend import Turn
from voicesession_agent.memory.turn_queue import DropReason, TurnQueue

from tests.support.fakes.memory_backend import FakeMemory


def test_full_queue_drops_oldest_turn() -> None:
    lost: list[DropReason] = []
    queue = TurnQueue(lost.append, lambda: None, limit=2)
    for text in ("one", "two", "three"):
        queue.put(Turn(text, ""))
    assert len(queue) == 2
    assert lost == [DropReason.OVERFLOW]


@pytest.mark.parametrize(
    ("limit", "kept", "lost"), [(1, ["one", "three"], 1), (2, ["one", "three"], 1), (3, ["one", "two", "three"], 0)]
)
async def test_overflow_keeps_turn_being_sent(limit: int, kept: list[str], lost: int) -> None:
    drops: list[DropReason] = []
    queue = TurnQueue(drops.append, lambda: None, limit)
    memory = FakeMemory()
    memory.acknowledges.clear()
    queue.put(Turn("one", ""))
    sending = asyncio.create_task(queue.send_oldest(memory))
    await asyncio.sleep(0)
    queue.put(Turn("two", ""))
    queue.put(Turn("three", ""))
    memory.acknowledges.set()
    await sending
    while len(queue):
        await queue.send_oldest(memory)
    assert (memory.stored, drops) == (kept, [DropReason.OVERFLOW] * lost)
