"""Memory backend with configurable errors and delays that records turns and blocks."""

import asyncio
from dataclasses import replace

from voicesession_agent.memory.backend import Block, Remark, Turn


class FakeMemory:
    def __init__(self) -> None:
        self.stored: list[str] = []
        self.blocks = (Block("human", "likes blue"),)
        self.fault: Exception | None = None
        self.capture_fault: Exception | None = None
        self.write_faults: list[Exception] = []
        self.remarks: tuple[Remark, ...] = ()
        self.loads = 0
        self.next_load_waits: asyncio.Event | None = None
        """If set, the next load reads the blocks at once and responds after this event."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.acknowledges = asyncio.Event()
        self.acknowledges.set()

    async def load_blocks(self) -> tuple[Block, ...]:
        self.loads += 1
        may_respond, self.next_load_waits = self.next_load_waits, None
        if may_respond is not None:
            blocks = self.blocks
            await may_respond.wait()
            return blocks
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return self.blocks

    async def capture(self, turn: Turn) -> None:
        fault = self.fault or self.capture_fault
        if fault:
            raise fault
        self.stored.append(turn.user)
        await self.acknowledges.wait()

    async def search(self, words: str) -> tuple[Remark, ...]:
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return tuple(remark for remark in self.remarks if words.lower() in remark.text.lower())

    async def write(self, label: str, value: str) -> None:
        if self.write_faults:
            raise self.write_faults.pop()
        self.blocks = tuple(replace(b, value=value) if b.label == label else b for b in self.blocks)
