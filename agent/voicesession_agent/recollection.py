"""What the agent remembers right now: blocks kept fresh and turns captured, both in the background."""

import asyncio
from collections.abc import Callable
from typing import Final

from voicesession_agent.capture import Lost, TurnQueue
from voicesession_agent.memory import Block, MemoryBackend, MemoryBackendError, RejectedError, Turn, UnavailableError
from voicesession_agent.state import MemoryPhase, MemoryStatus
from voicesession_agent.wanted import MemoryAddress

REFRESH_SECONDS: Final = 30.0
AFTER_CAPTURE_SECONDS: Final = 2.0
"""Letta's sleep-time agent edits blocks about 1 s after a captured turn."""
FIRST_RETRY_SECONDS: Final = 0.5
MAX_RETRY_SECONDS: Final = 10.0


class Recollection:
    """Two loops over one backend. `blocks` is only ever replaced whole, so readers need no lock."""

    def __init__(self, connect: Callable[[MemoryAddress], MemoryBackend], lost: Callable[[Lost], None]) -> None:
        self.blocks: tuple[Block, ...] = ()
        self.status = MemoryStatus()
        self.turns = TurnQueue(lost)
        self._connect = connect
        self._address: MemoryAddress | None = None
        self._backend: MemoryBackend | None = None
        self._capture = False
        self._known = asyncio.Event()
        self._refresh = asyncio.Event()

    def told(self, address: MemoryAddress | None, capture: bool) -> None:
        """Take the operator's word on where memory is; it may come later than the session, or change."""
        self._capture = capture
        if address == self._address or address is None:
            return
        self._address, self._backend = address, self._connect(address)
        self.status = MemoryStatus(address.agent_id, MemoryPhase.LOADING)
        self._known.set()
        self._refresh.set()

    def heard(self, turn: Turn) -> None:
        """Queue a finished turn, unless the session's memory is not to grow."""
        if self._capture:
            self.turns.put(turn)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_fresh())
            tasks.create_task(self._keep_capturing())

    async def flush(self, seconds: float) -> None:
        """Try for at most `seconds` to send what is queued; for the end of the process."""
        if self._backend is None:
            return
        try:
            async with asyncio.timeout(seconds):
                while len(self.turns):
                    await self.turns.send_oldest(self._backend)
        except (MemoryBackendError, TimeoutError):
            return

    async def _keep_fresh(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            await self._known.wait()
            self._refresh.clear()
            delay = REFRESH_SECONDS if await self._load() else min(MAX_RETRY_SECONDS, delay * 2)
            await _wait(self._refresh, delay)
            delay = FIRST_RETRY_SECONDS if delay == REFRESH_SECONDS else delay

    async def _keep_capturing(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            await self.turns.wait()
            await self._known.wait()
            if await self._send():
                delay = FIRST_RETRY_SECONDS
                continue
            delay = min(MAX_RETRY_SECONDS, delay * 2)
            await asyncio.sleep(delay)

    async def _send(self) -> bool:
        """Capture one turn; answer False when memory must be waited for."""
        backend = self._backend
        if backend is None or (self.status.phase is MemoryPhase.UNAVAILABLE and not await self._load()):
            return False
        try:
            await self.turns.send_oldest(backend)
        except RejectedError as fault:
            self.turns.lose(Lost.REJECTED)
            self._is(MemoryPhase.UNAVAILABLE, str(fault))
            return False
        except UnavailableError as fault:
            self._is(MemoryPhase.UNAVAILABLE, str(fault))
            return False
        except MemoryBackendError as fault:
            self.turns.lose(Lost.UNCERTAIN)
            self._is(MemoryPhase.UNAVAILABLE, str(fault))
            return False
        asyncio.get_running_loop().call_later(AFTER_CAPTURE_SECONDS, self._refresh.set)
        return True

    async def _load(self) -> bool:
        backend = self._backend
        if backend is None:
            return False
        try:
            blocks = await backend.load_blocks()
        except MemoryBackendError as fault:
            self._is(MemoryPhase.UNAVAILABLE, str(fault))
            return False
        if backend is self._backend:
            self.blocks = blocks
            self._is(MemoryPhase.OK, "")
        return True

    def _is(self, phase: MemoryPhase, message: str) -> None:
        self.status = MemoryStatus(self.status.agent_id, phase, message)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
