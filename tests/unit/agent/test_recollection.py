"""Memory in the background: order, bounds, and what an outage does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from voicesession_agent import recollection
from voicesession_agent.capture import Lost, TurnQueue
from voicesession_agent.memory import Block, MemoryBackendError, RejectedError, Turn, UnavailableError, UncertainError
from voicesession_agent.recollection import Recollection
from voicesession_agent.state import MemoryPhase
from voicesession_agent.wanted import MemoryAddress

ADDRESS = MemoryAddress("http://letta", "agent-1")
DEADLINE = 5.0


class FakeMemory:
    def __init__(self) -> None:
        self.stored: list[str] = []
        self.blocks = (Block("human", "likes blue"),)
        self.fault: MemoryBackendError | None = None
        self.capture_fault: MemoryBackendError | None = None

    async def load_blocks(self) -> tuple[Block, ...]:
        if self.fault:
            raise self.fault
        return self.blocks

    async def capture(self, turn: Turn) -> None:
        fault = self.fault or self.capture_fault
        if fault:
            raise fault
        self.stored.append(turn.user)


class World:
    def __init__(self) -> None:
        self.memory = FakeMemory()
        self.lost: list[Lost] = []
        self.recollection = Recollection(lambda _: self.memory, self.lost.append)
        self.running = asyncio.create_task(self.recollection.run())

    def say(self, *texts: str) -> None:
        for text in texts:
            self.recollection.heard(Turn(text, "yes"))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the code under test tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name in ("FIRST_RETRY_SECONDS", "MAX_RETRY_SECONDS", "AFTER_CAPTURE_SECONDS"):
        monkeypatch.setattr(recollection, name, 0.005)
    made = World()
    yield made
    made.running.cancel()
    with suppress(asyncio.CancelledError):
        await made.running


async def test_blocks_are_loaded_once_memory_is_known(world: World) -> None:
    assert world.recollection.status.phase is MemoryPhase.NONE
    world.recollection.told(ADDRESS, True)
    assert world.recollection.status.phase is MemoryPhase.LOADING
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    assert world.recollection.blocks == world.memory.blocks
    assert world.recollection.status.agent_id == "agent-1"


async def test_turns_are_captured_in_order_even_before_memory_is_known(world: World) -> None:
    world.recollection.told(None, True)
    world.say("one", "two")
    world.recollection.told(ADDRESS, True)
    world.say("three")
    await world.until(lambda: world.memory.stored == ["one", "two", "three"])


async def test_nothing_is_captured_when_it_is_off(world: World) -> None:
    world.recollection.told(ADDRESS, False)
    world.say("one")
    assert len(world.recollection.turns) == 0


async def test_an_outage_keeps_turns_and_blocks_and_ends_by_itself(world: World) -> None:
    world.recollection.told(ADDRESS, True)
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    world.memory.fault = UnavailableError("Letta does not answer")
    world.say("one", "two")
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.UNAVAILABLE)
    assert world.recollection.status.message == "Letta does not answer"
    assert world.recollection.blocks == world.memory.blocks
    assert len(world.recollection.turns) == 2
    world.memory.fault = None
    await world.until(lambda: world.memory.stored == ["one", "two"])
    assert world.recollection.status.phase is MemoryPhase.OK
    assert world.lost == []


@pytest.mark.parametrize(
    ("fault", "why"), [(UncertainError("late"), Lost.UNCERTAIN), (RejectedError("no"), Lost.REJECTED)]
)
async def test_what_may_be_stored_already_is_not_sent_twice(world: World, fault: MemoryBackendError, why: Lost) -> None:
    world.recollection.told(ADDRESS, True)
    world.memory.capture_fault = fault
    world.say("one")
    await world.until(lambda: world.lost == [why])
    world.memory.capture_fault = None
    world.say("two")
    await world.until(lambda: world.memory.stored == ["two"])


async def test_new_blocks_are_seen_after_a_capture(world: World) -> None:
    world.recollection.told(ADDRESS, True)
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    world.memory.blocks = (Block("human", "likes red"),)
    world.say("one")
    await world.until(lambda: world.recollection.blocks == world.memory.blocks)


async def test_flush_sends_what_is_left_and_gives_up_in_time(world: World) -> None:
    world.running.cancel()
    world.recollection.told(ADDRESS, True)
    world.say("one", "two")
    await world.recollection.flush(1.0)
    assert world.memory.stored == ["one", "two"]
    world.memory.fault = UnavailableError("away")
    world.say("three")
    await asyncio.wait_for(world.recollection.flush(1.0), DEADLINE)
    assert len(world.recollection.turns) == 1


def test_the_queue_is_bounded_and_drops_its_oldest() -> None:
    lost: list[Lost] = []
    queue = TurnQueue(lost.append, limit=2)
    for text in ("one", "two", "three"):
        queue.put(Turn(text, ""))
    assert len(queue) == 2
    assert lost == [Lost.OVERFLOW]


async def test_an_overflow_while_sending_drops_nothing_else() -> None:
    lost: list[Lost] = []
    queue = TurnQueue(lost.append, limit=1)

    class Slow(FakeMemory):
        async def capture(self, turn: Turn) -> None:
            queue.put(Turn("two", ""))
            await super().capture(turn)

    queue.put(Turn("one", ""))
    await queue.send_oldest(Slow())
    assert len(queue) == 1
