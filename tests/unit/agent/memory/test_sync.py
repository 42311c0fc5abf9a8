"""Memory sync: order of turns, refresh of blocks, facts and outages."""

import asyncio
from dataclasses import replace

import pytest
from voicesession_agent.memory.backend import (
    Block,
    MemoryPhase,
    RejectedError,
    UnavailableError,
    UncertainError,
    WriteConflictError,
)
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.supervisor.desired_state import DesiredState

from tests.support.fakes.memory_sync import DEADLINE, QUICK, SyncScene, desired_state


async def test_blocks_are_loaded_after_address_is_known(scene: SyncScene) -> None:
    assert scene.memory_sync.status.phase is MemoryPhase.NONE
    scene.memory_sync.apply(desired_state())
    assert scene.memory_sync.status.phase is MemoryPhase.LOADING
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    assert scene.memory_sync.blocks == scene.memory.blocks
    assert scene.memory_sync.status.agent_id == "agent-1"


async def test_turns_before_address_is_known_are_captured_in_order(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state(None))
    scene.say("one", "two")
    scene.memory_sync.apply(desired_state())
    scene.say("three")
    await scene.until(lambda: scene.memory.stored == ["one", "two", "three"])


async def test_turn_is_not_queued_while_capture_is_off(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state(capture=False))
    scene.say("one")
    assert len(scene.memory_sync.turns) == 0


async def test_outage_keeps_turns_and_blocks_until_recovery(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory.fault = UnavailableError("Letta does not answer")
    scene.say("one", "two")
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.UNAVAILABLE)
    assert scene.memory_sync.status.message == "Letta does not answer"
    assert scene.memory_sync.blocks == scene.memory.blocks
    assert len(scene.memory_sync.turns) == 2
    scene.memory.fault = None
    await scene.until(lambda: scene.memory.stored == ["one", "two"])
    assert scene.memory_sync.status.phase is MemoryPhase.OK
    assert scene.lost == []


async def test_rejected_turn_is_lost_and_next_turn_is_sent(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    scene.memory.capture_fault = RejectedError("no")
    scene.say("one")
    await scene.until(lambda: scene.lost == [DropReason.REJECTED])
    assert scene.memory_sync.status.phase is MemoryPhase.OK
    scene.memory.capture_fault = None
    scene.say("two")
    await scene.until(lambda: scene.memory.stored == ["two"])


async def test_uncertain_turn_is_sent_again_first_and_counted(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    scene.memory.capture_fault = UncertainError("late")
    scene.say("one", "two")
    await scene.until(lambda: scene.repeated > 0)
    scene.memory.capture_fault = None
    await scene.until(lambda: scene.memory.stored == ["one", "two"])
    assert scene.memory_sync.turns.repeated == scene.repeated
    assert scene.lost == []


async def test_capture_refreshes_blocks(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory.blocks = (Block("human", "likes red"),)
    scene.say("one")
    await scene.until(lambda: scene.memory_sync.blocks == scene.memory.blocks)


async def test_flush_sends_remaining_turns_or_gives_up(scene: SyncScene) -> None:
    scene.running.cancel()
    scene.memory_sync.apply(desired_state())
    scene.say("one", "two")
    await scene.memory_sync.flush(1.0)
    assert scene.memory.stored == ["one", "two"]
    for fault in (UnavailableError("away"), ValueError("x")):
        scene.memory.fault = fault
        scene.say("three")
        await asyncio.wait_for(scene.memory_sync.flush(1.0), DEADLINE)
    assert scene.lost == [DropReason.STOPPED] * 2


async def test_flush_returns_early_without_turns_or_memory(scene: SyncScene) -> None:
    scene.running.cancel()
    scene.memory_sync.apply(desired_state())
    scene.memory.acknowledges.clear()
    await asyncio.wait_for(scene.memory_sync.flush(60.0), DEADLINE)
    scene.memory.fault = UnavailableError("away")
    scene.say("one")
    await asyncio.wait_for(scene.memory_sync.flush(60.0), DEADLINE)


async def test_capture_interrupted_by_shutdown_counts_as_repeated(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    scene.memory.acknowledges.clear()
    scene.say("one")
    await scene.until(lambda: scene.memory.stored == ["one"])
    scene.running.cancel()
    await asyncio.gather(scene.running, return_exceptions=True)
    scene.memory.acknowledges.set()
    await scene.memory_sync.flush(1.0)
    assert (scene.memory.stored, scene.repeated) == (["one", "one"], 1)


async def test_speech_loads_manually_edited_block(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory.blocks = (Block("human", "edited by hand"),)
    scene.memory_sync.someone_speaks()
    await scene.until(lambda: scene.memory_sync.blocks == scene.memory.blocks)


@pytest.mark.parametrize("timings", [replace(QUICK, min_between_seconds=60.0)], ids=["long interval"])
async def test_speech_loads_memory_at_most_once_per_interval(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    for _ in range(5):
        scene.memory_sync.someone_speaks()
        await asyncio.sleep(0.002)
    assert scene.memory.loads == 1


async def test_reset_keeps_blocks_while_reloading(scene: SyncScene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    before, scene.memory.blocks = scene.memory_sync.blocks, (Block("human", "new"),)
    scene.memory_sync.reload()
    assert scene.memory_sync.blocks == before
    await scene.until(lambda: scene.memory_sync.blocks == scene.memory.blocks)
    assert [vars(r)["outcome"] for r in caplog.records if vars(r).get("event") == "memory_reloaded"] == ["Ok"]


async def test_reset_without_memory_logs_zero_duration(scene: SyncScene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene.memory_sync.reload()
    assert [vars(r)["ms"] for r in caplog.records if vars(r).get("event") == "memory_reloaded"] == [0]


async def test_remember_writes_fact_and_updates_blocks(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    assert scene.memory_sync.remembers
    scene.memory.write_faults = [WriteConflictError("409"), WriteConflictError("409")]
    await scene.memory_sync.remember("The user's dog is Rex.")
    assert scene.memory.blocks[0].value == "likes blue\nThe user's dog is Rex."
    assert scene.memory_sync.blocks == scene.memory.blocks


async def test_load_started_before_write_is_discarded(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory.next_load_waits = may_respond = asyncio.Event()
    scene.memory_sync.someone_speaks()
    await scene.until(lambda: scene.memory.loads == 2)
    await scene.memory_sync.remember("New.")
    before_response = scene.memory_sync.status
    may_respond.set()
    await scene.until(lambda: scene.memory_sync.status is not before_response)
    assert scene.memory_sync.blocks == scene.memory.blocks
    assert "New." in scene.memory_sync.blocks[0].value


@pytest.mark.parametrize("desired", [desired_state(None), desired_state(read_only=True)])
async def test_remember_is_rejected_without_writable_memory(scene: SyncScene, desired: DesiredState) -> None:
    scene.memory_sync.apply(desired)
    assert not scene.memory_sync.remembers
    with pytest.raises(RejectedError):
        await scene.memory_sync.remember("x")
    scene.say("one")
    assert len(scene.memory_sync.turns) == (0 if desired.read_only else 1)


async def test_read_only_memory_drops_queued_turns(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state(None))
    scene.say("one")
    scene.memory_sync.apply(desired_state(read_only=True))
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)
    scene.memory_sync.apply(desired_state())
    scene.say("two")
    await scene.until(lambda: scene.memory.stored == ["two"])
    assert scene.lost == [DropReason.FORGOTTEN]


@pytest.mark.parametrize("timings", [replace(QUICK, edit_seconds=0.01)], ids=["short timeout"])
async def test_remember_times_out_without_response(scene: SyncScene) -> None:
    scene.memory_sync.apply(desired_state())
    scene.memory.gate.clear()
    with pytest.raises(UnavailableError, match="in time"):
        await scene.memory_sync.remember("x")
