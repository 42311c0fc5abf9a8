"""Memory sync: errors that the backend does not translate."""

import asyncio

import pytest
from voicesession_agent.memory.backend import MemoryAddress, MemoryPhase, RejectedError, UncertainError
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.memory.turn_queue import DropReason, TurnQueue

from tests.support.fakes.memory_backend import FakeMemory
from tests.support.fakes.memory_sync import DEADLINE, QUICK, SyncScene, desired_state


@pytest.mark.parametrize("fault", [ValueError("x"), RecursionError(), UnicodeEncodeError("utf-8", "x", 0, 1, "x")])
async def test_unexpected_error_is_an_outage_until_recovery(
    scene: SyncScene, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory.fault = fault
    scene.say("one", "two")
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.UNAVAILABLE)
    assert scene.memory_sync.status.message == f"memory failed: {type(fault).__name__}"
    loads = scene.memory.loads
    await scene.until(lambda: scene.memory.loads > loads + 10)
    with pytest.raises(UncertainError):
        await scene.memory_sync.remember("x")
    scene.memory.fault = None
    await scene.until(lambda: scene.memory.stored == ["one", "two"])
    assert scene.memory_sync.status.phase is MemoryPhase.OK
    assert [vars(r).get("event") for r in caplog.records].count("memory_failed") == 1


async def test_unusable_address_is_an_outage() -> None:
    def connect(_: MemoryAddress) -> FakeMemory:
        raise ValueError

    memory_sync = MemorySync(connect, lambda _: None, lambda: None, QUICK)
    memory_sync.apply(desired_state())
    running = asyncio.create_task(memory_sync.run())
    async with asyncio.timeout(DEADLINE):
        while memory_sync.status.phase is not MemoryPhase.UNAVAILABLE:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_turn_with_repeated_unexpected_errors_is_lost_and_next_turn_is_sent(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory.capture_fault = ValueError("x")
    scene.say("one")
    await scene.until(lambda: scene.lost == [DropReason.REJECTED])
    scene.memory.capture_fault = None
    scene.say("two")
    await scene.until(lambda: scene.memory.stored == ["two"])


async def test_error_outside_of_calls_does_not_end_the_loops(scene: SyncScene) -> None:
    def fail(_: DropReason) -> None:
        raise RuntimeError

    scene.memory_sync.turns = TurnQueue(fail, scene.count_repeated)
    scene.memory_sync.apply(desired_state())
    scene.memory.capture_fault = RejectedError("no")
    scene.say("one")
    await scene.until(lambda: len(scene.memory_sync.turns) == 0)
    scene.memory.capture_fault = None
    scene.say("two")
    await scene.until(lambda: scene.memory.stored == ["two"])
