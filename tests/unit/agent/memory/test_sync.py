"""Memory in the background: order, bounds, and what an outage does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from voicesession_agent.memory import sync as recollection
from voicesession_agent.memory.backend import (
    Block,
    RejectedError,
    Turn,
    UnavailableError,
    UncertainError,
    WriteConflictError,
)
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.supervisor.desired_state import MemoryAddress, Wanted
from voicesession_agent.supervisor.pod_state import MemoryPhase

from tests.support.fakes.memory_backend import FakeMemory

ADDRESS = MemoryAddress("http://letta", "agent-1")
DEADLINE = 5.0


def told(address: MemoryAddress | None = ADDRESS, capture: bool = True, read_only: bool = False) -> Wanted:
    return Wanted("u1", 1, "vs-1", "ws://x", "t", memory=address, capture=capture, read_only=read_only)


class World:
    def __init__(self) -> None:
        self.memory = FakeMemory()
        self.lost: list[DropReason] = []
        self.repeated = 0
        self.recollection = MemorySync(lambda _: self.memory, self.lost.append, self.count_repeated)
        self.running = asyncio.create_task(self.recollection.run())

    def count_repeated(self) -> None:
        self.repeated += 1

    def say(self, *texts: str) -> None:
        for text in texts:
            self.recollection.heard(Turn(text, "yes"))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the code under test tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name in ("FIRST_RETRY_SECONDS", "MAX_RETRY_SECONDS", "AFTER_CAPTURE_SECONDS", "MIN_BETWEEN_SECONDS"):
        monkeypatch.setattr(recollection, name, 0.005)
    made = World()
    yield made
    made.running.cancel()
    with suppress(asyncio.CancelledError):
        await made.running


async def test_blocks_are_loaded_once_memory_is_known(world: World) -> None:
    assert world.recollection.status.phase is MemoryPhase.NONE
    world.recollection.told(told())
    assert world.recollection.status.phase is MemoryPhase.LOADING
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    assert world.recollection.blocks == world.memory.blocks
    assert world.recollection.status.agent_id == "agent-1"


async def test_turns_are_captured_in_order_even_before_memory_is_known(world: World) -> None:
    world.recollection.told(told(None))
    world.say("one", "two")
    world.recollection.told(told())
    world.say("three")
    await world.until(lambda: world.memory.stored == ["one", "two", "three"])


async def test_nothing_is_captured_when_it_is_off(world: World) -> None:
    world.recollection.told(told(capture=False))
    world.say("one")
    assert len(world.recollection.turns) == 0


async def test_an_outage_keeps_turns_and_blocks_and_ends_by_itself(world: World) -> None:
    world.recollection.told(told())
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


async def test_what_is_refused_for_good_is_lost(world: World) -> None:
    world.recollection.told(told())
    world.memory.capture_fault = RejectedError("no")
    world.say("one")
    await world.until(lambda: world.lost == [DropReason.REJECTED])
    world.memory.capture_fault = None
    world.say("two")
    await world.until(lambda: world.memory.stored == ["two"])


async def test_what_may_be_stored_already_is_sent_again_first_and_counted(world: World) -> None:
    world.recollection.told(told())
    world.memory.capture_fault = UncertainError("late")
    world.say("one", "two")
    await world.until(lambda: world.repeated > 0)
    world.memory.capture_fault = None
    await world.until(lambda: world.memory.stored == ["one", "two"])
    assert world.recollection.turns.repeated == world.repeated
    assert world.lost == []


async def test_new_blocks_are_seen_after_a_capture(world: World) -> None:
    world.recollection.told(told())
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    world.memory.blocks = (Block("human", "likes red"),)
    world.say("one")
    await world.until(lambda: world.recollection.blocks == world.memory.blocks)


async def test_flush_sends_what_is_left_and_gives_up_in_time(world: World) -> None:
    world.running.cancel()
    world.recollection.told(told())
    world.say("one", "two")
    await world.recollection.flush(1.0)
    assert world.memory.stored == ["one", "two"]
    world.memory.fault = UnavailableError("away")
    world.say("three")
    await asyncio.wait_for(world.recollection.flush(1.0), DEADLINE)
    assert world.lost == [DropReason.STOPPED]


async def test_flush_takes_no_time_where_nothing_waits_or_memory_is_away(world: World) -> None:
    world.running.cancel()
    world.recollection.told(told())
    world.memory.acknowledges.clear()
    await asyncio.wait_for(world.recollection.flush(60.0), DEADLINE)
    world.memory.fault = UnavailableError("away")
    world.say("one")
    await asyncio.wait_for(world.recollection.flush(60.0), DEADLINE)


async def test_a_capture_that_the_end_cuts_short_counts_as_repeated_when_it_is_sent_again(world: World) -> None:
    world.recollection.told(told())
    world.memory.acknowledges.clear()
    world.say("one")
    await world.until(lambda: world.memory.stored == ["one"])
    world.running.cancel()
    await asyncio.gather(world.running, return_exceptions=True)
    world.memory.acknowledges.set()
    await world.recollection.flush(1.0)
    assert (world.memory.stored, world.repeated) == (["one", "one"], 1)


async def test_a_block_edited_by_hand_is_loaded_when_somebody_speaks(world: World) -> None:
    world.recollection.told(told())
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    world.memory.blocks = (Block("human", "edited by hand"),)
    world.recollection.someone_speaks()
    await world.until(lambda: world.recollection.blocks == world.memory.blocks)


async def test_speech_loads_memory_once_a_second_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recollection, "MIN_BETWEEN_SECONDS", 60.0)
    world.recollection.told(told())
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    for _ in range(5):
        world.recollection.someone_speaks()
        await asyncio.sleep(0.002)
    assert world.memory.loads == 1


async def test_a_reset_keeps_the_blocks_and_loads_them_anew(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world.recollection.told(told())
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    before, world.memory.blocks = world.recollection.blocks, (Block("human", "new"),)
    world.recollection.reload()
    assert world.recollection.blocks == before
    await world.until(lambda: world.recollection.blocks == world.memory.blocks)
    assert [vars(r)["outcome"] for r in caplog.records if vars(r).get("event") == "memory_reloaded"] == ["Ok"]


async def test_a_reset_without_memory_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world.recollection.reload()
    assert [vars(r)["ms"] for r in caplog.records if vars(r).get("event") == "memory_reloaded"] == [0]


async def test_a_fact_is_written_and_known_at_once(world: World) -> None:
    world.recollection.told(told())
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    assert world.recollection.remembers
    world.memory.write_faults = [WriteConflictError("409"), WriteConflictError("409")]
    await world.recollection.remember("The user's dog is Rex.")
    assert world.memory.blocks[0].value == "likes blue\nThe user's dog is Rex."
    assert world.recollection.blocks == world.memory.blocks


async def test_blocks_loaded_before_a_fact_was_written_are_stale(world: World) -> None:
    world.recollection.told(told())
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    old = world.memory.blocks
    loading = asyncio.create_task(world.recollection._load())
    world.memory.gate.clear()
    await asyncio.sleep(0)
    writing = asyncio.create_task(world.recollection.remember("New."))
    await asyncio.sleep(0)
    world.memory.gate.set()
    await asyncio.gather(loading, writing)
    assert world.recollection.blocks != old
    assert world.recollection.blocks == world.memory.blocks


@pytest.mark.parametrize("wanted", [told(None), told(read_only=True)])
async def test_nothing_is_remembered_where_nothing_may_be(world: World, wanted: Wanted) -> None:
    world.recollection.told(wanted)
    assert not world.recollection.remembers
    with pytest.raises(RejectedError):
        await world.recollection.remember("x")
    world.say("one")
    assert len(world.recollection.turns) == (0 if wanted.read_only else 1)


async def test_turns_kept_for_a_memory_that_turns_out_to_be_somebody_elses_are_dropped(world: World) -> None:
    world.recollection.told(told(None))
    world.say("one")
    world.recollection.told(told(read_only=True))
    await world.until(lambda: world.recollection.status.phase is MemoryPhase.OK)
    world.recollection.told(told())
    world.say("two")
    await world.until(lambda: world.memory.stored == ["two"])
    assert world.lost == []


async def test_a_memory_that_does_not_answer_is_given_up_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recollection, "REMEMBER_SECONDS", 0.01)
    world.recollection.told(told())
    world.memory.gate.clear()
    with pytest.raises(UnavailableError, match="in time"):
        await world.recollection.remember("x")
