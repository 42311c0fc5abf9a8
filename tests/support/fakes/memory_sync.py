"""A memory synchronization that runs with a fake backend and short times."""

import asyncio
from collections.abc import Callable
from typing import Any

from voicesession_agent.memory.backend import MemoryAddress, Turn
from voicesession_agent.memory.facts import EditOutcome, MemoryEdit
from voicesession_agent.memory.sync import MemorySync, SyncTimings
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.supervisor.desired_state import DesiredState

from tests.support.fakes.memory_backend import FakeMemory

ADDRESS = MemoryAddress("http://letta", "agent-1")
DEADLINE = 30.0
QUICK = SyncTimings(
    after_capture_seconds=0.005, min_between_seconds=0.005, first_retry_seconds=0.005, max_retry_seconds=0.005
)


def desired_state(
    address: MemoryAddress | None = ADDRESS, capture: bool = True, read_only: bool = False, **more: Any
) -> DesiredState:
    return DesiredState("u1", 1, "vs-1", "ws://x", "t", memory=address, capture=capture, read_only=read_only, **more)


class SyncScene:
    def __init__(self, timings: SyncTimings) -> None:
        self.memory = FakeMemory()
        self.lost: list[DropReason] = []
        self.repeated = 0
        self.edits: list[tuple[MemoryEdit, EditOutcome]] = []
        self.memory_sync = MemorySync(
            lambda _: self.memory,
            self.lost.append,
            self.count_repeated,
            timings,
            edited=self.count_edit,
        )
        self.running = asyncio.create_task(self.memory_sync.run())

    def count_edit(self, edit: MemoryEdit, outcome: EditOutcome) -> None:
        self.edits.append((edit, outcome))

    def count_repeated(self) -> None:
        self.repeated += 1

    def say(self, *texts: str) -> None:
        for text in texts:
            self.memory_sync.heard(Turn(text, "yes"))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the code under test has no event to wait for
                await asyncio.sleep(0.001)
