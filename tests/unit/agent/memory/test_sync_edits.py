"""Memory sync: edits that memory refuses, and the search of earlier conversations."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_agent.memory.backend import (
    Block,
    MemoryPhase,
    RejectedError,
    Remark,
    UnavailableError,
    UncertainError,
)
from voicesession_agent.memory.facts import EditOutcome, MemoryEdit

from tests.support.fakes.memory_sync import QUICK, SyncScene, desired_state


async def ready(scene: SyncScene, **settings: Any) -> None:
    """Apply a desired state with these settings, and wait until memory was read."""
    scene.memory_sync.apply(desired_state(**settings))
    await scene.until(lambda: scene.memory_sync.status.phase is MemoryPhase.OK)


async def test_forget_removes_fact_and_updates_blocks(scene: SyncScene) -> None:
    await ready(scene)
    assert await scene.memory_sync.forget("Likes blue.", everything=False) == 1
    assert scene.memory_sync.blocks == (Block("human", ""),)
    assert scene.edits == [(MemoryEdit.FORGET, EditOutcome.OK)]


async def test_edits_write_named_block_only(scene: SyncScene) -> None:
    scene.memory.blocks = (Block("human", "likes blue"), Block("notes", ""))
    await ready(scene, remember_block="notes")
    await scene.memory_sync.remember("Has a dog.")
    await scene.memory_sync.forget("", everything=True)
    await scene.memory_sync.remember("Has a cat.")
    assert scene.memory.blocks == (Block("human", "likes blue"), Block("notes", "Has a cat."))


async def test_edits_are_rejected_while_remember_is_off(scene: SyncScene) -> None:
    await ready(scene, remember=False)
    assert not scene.memory_sync.remembers
    with pytest.raises(RejectedError):
        await scene.memory_sync.remember("x")
    with pytest.raises(RejectedError):
        await scene.memory_sync.forget("", everything=True)
    assert scene.memory.blocks == (Block("human", "likes blue"),)
    scene.say("one")
    await scene.until(lambda: scene.memory.stored == ["one"])


@pytest.mark.parametrize(
    ("block", "outcome", "message"),
    [
        (Block("persona", ""), EditOutcome.MISSING, 'memory has no block "human"'),
        (Block("human", "", read_only=True), EditOutcome.READ_ONLY, 'the memory block "human" is read only'),
        (Block("human", "x" * 9, limit=9), EditOutcome.FULL, 'memory is full: the block "human" has no room'),
    ],
)
async def test_refused_edit_is_counted_and_reported_until_block_changes(
    scene: SyncScene, block: Block, outcome: EditOutcome, message: str
) -> None:
    scene.memory.blocks = (block,)
    await ready(scene)
    assert scene.memory_sync.reported_status == scene.memory_sync.status
    with pytest.raises(RejectedError, match=message):
        await scene.memory_sync.remember("Has a dog.")
    assert scene.edits == [(MemoryEdit.REMEMBER, outcome)]
    reported = scene.memory_sync.reported_status
    assert (reported.agent_id, reported.phase, reported.message) == ("agent-1", MemoryPhase.UNAVAILABLE, message)
    assert scene.memory_sync.status.phase is MemoryPhase.OK
    loads = scene.memory.loads
    scene.memory_sync.someone_speaks()
    await scene.until(lambda: scene.memory.loads > loads)
    assert scene.memory_sync.reported_status == reported
    scene.memory.blocks = (Block("human", ""),)
    scene.memory_sync.someone_speaks()
    await scene.until(lambda: scene.memory_sync.reported_status.phase is MemoryPhase.OK)


async def test_successful_edit_ends_reported_refusal(scene: SyncScene) -> None:
    scene.memory.blocks = (Block("human", "likes blue", limit=10),)
    await ready(scene)
    with pytest.raises(RejectedError, match="full"):
        await scene.memory_sync.remember("Has a dog.")
    await scene.memory_sync.forget("likes blue", everything=False)
    assert scene.memory_sync.reported_status.phase is MemoryPhase.OK
    await scene.memory_sync.remember("Has a dog.")


async def test_other_block_ends_reported_refusal(scene: SyncScene) -> None:
    scene.memory.blocks = (Block("persona", "p"), Block("notes", ""))
    await ready(scene)
    with pytest.raises(RejectedError, match="no block"):
        await scene.memory_sync.remember("Has a dog.")
    scene.memory_sync.apply(desired_state(remember_block="notes"))
    assert scene.memory_sync.reported_status.phase is MemoryPhase.OK


async def test_failed_edit_is_counted_and_is_no_refusal(scene: SyncScene) -> None:
    await ready(scene)
    scene.memory.write_faults = [ValueError("x")]
    with pytest.raises(UncertainError, match="memory failed: ValueError"):
        await scene.memory_sync.forget("likes blue", everything=False)
    assert scene.edits == [(MemoryEdit.FORGET, EditOutcome.FAILED)]
    assert scene.memory_sync.reported_status.phase is MemoryPhase.OK
    assert not scene.running.done()


async def test_recall_searches_earlier_conversations(scene: SyncScene) -> None:
    said = Remark("2026-11-01", "user", "I live in Berlin.")
    scene.memory.remarks = (said, Remark("2026-11-02", "user", "Hello."))
    await ready(scene, recall=True)
    assert scene.memory_sync.recalls
    assert await scene.memory_sync.recall("berlin") == [said]


@pytest.mark.parametrize("settings", [{}, {"recall": True, "read_only": True}], ids=["default", "read only"])
async def test_recall_is_rejected_unless_allowed(scene: SyncScene, settings: dict[str, bool]) -> None:
    await ready(scene, **settings)
    assert not scene.memory_sync.recalls
    with pytest.raises(RejectedError):
        await scene.memory_sync.recall("berlin")


@pytest.mark.parametrize("timings", [replace(QUICK, recall_seconds=0.01)], ids=["short timeout"])
async def test_slow_recall_is_harmless(scene: SyncScene) -> None:
    await ready(scene, recall=True)
    scene.memory.gate.clear()
    with pytest.raises(UnavailableError, match="in time"):
        await scene.memory_sync.recall("berlin")
    assert not scene.running.done()


async def test_failing_recall_is_harmless(scene: SyncScene) -> None:
    await ready(scene, recall=True)
    scene.memory.fault = RecursionError()
    with pytest.raises(UncertainError):
        await scene.memory_sync.recall("berlin")
    assert not scene.running.done()
