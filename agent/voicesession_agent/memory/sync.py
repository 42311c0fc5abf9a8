"""What the agent remembers right now: blocks kept fresh and turns captured, both in the background."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from voicesession_agent.memory.backend import (
    Block,
    MemoryBackend,
    MemoryBackendError,
    RejectedError,
    Turn,
    UnavailableError,
)
from voicesession_agent.memory.facts import remember
from voicesession_agent.memory.turn_queue import DropReason, TurnQueue
from voicesession_agent.supervisor.desired_state import MemoryAddress, Wanted
from voicesession_agent.supervisor.pod_state import MemoryPhase, MemoryStatus

REFRESH_SECONDS: Final = 30.0
AFTER_CAPTURE_SECONDS: Final = 2.0
"""Letta's sleep-time agent edits blocks about 1 s after a captured turn."""
MIN_BETWEEN_SECONDS: Final = 1.0
"""People begin to speak more often than their agent's memory is worth asking for."""
FIRST_RETRY_SECONDS: Final = 0.5
MAX_RETRY_SECONDS: Final = 10.0
REMEMBER_SECONDS: Final = 4.0
"""The language model waits for it, and the human for the model; three calls of a healthy Letta take 0.3 s."""
log = logging.getLogger(__name__)


class MemorySync:
    """Two loops over one backend. `blocks` is only ever replaced whole, so readers need no lock."""

    def __init__(
        self,
        connect: Callable[[MemoryAddress], MemoryBackend],
        lost: Callable[[DropReason], None],
        repeated: Callable[[], None],
    ) -> None:
        self.blocks: tuple[Block, ...] = ()
        self.status = MemoryStatus()
        self.turns = TurnQueue(lost, repeated)
        self._connect = connect
        self._address: MemoryAddress | None = None
        self._backend: MemoryBackend | None = None
        self._capture = False
        self._read_only = False
        self._reloading = False
        self._loading_since = 0.0
        self._known = asyncio.Event()
        self._refresh = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written = 0
        """Facts remembered so far; blocks whose loading began before the last of them are stale."""

    @property
    def remembers(self) -> bool:
        """Whether the agent may be asked to remember something."""
        return self._backend is not None and not self._read_only

    def told(self, wanted: Wanted) -> None:
        """Take the operator's word on where memory is; it may come later than the session, or change."""
        address = wanted.memory
        self._capture = wanted.capture and not wanted.read_only
        self._read_only = wanted.read_only
        if wanted.read_only:
            self.turns.forget()
        if address == self._address or address is None:
            return
        self._address, self._backend = address, self._connect(address)
        self.status = MemoryStatus(address.agent_id, MemoryPhase.LOADING)
        self._known.set()
        self._refresh.set()

    def reload(self) -> None:
        """A reset: the next job starts from the blocks at hand, while they are loaded anew beside it."""
        if self._backend is None:
            _log_reload(0.0, self.status)
            return
        self._reloading = True
        self._refresh.set()

    def someone_speaks(self) -> None:
        """What was changed by hand a moment ago shall be in the next answer: load while she speaks."""
        self._refresh.set()

    def heard(self, turn: Turn) -> None:
        """Queue a finished turn, unless the session's memory is not to grow."""
        if self._capture:
            self.turns.put(turn)

    async def remember(self, fact: str) -> None:
        """Write `fact` into memory now. Raise MemoryBackendError with words for a language model."""
        backend = self._backend
        if backend is None or self._read_only:
            raise RejectedError("there is no memory that can be written to")
        try:
            async with asyncio.timeout(REMEMBER_SECONDS), self._writing:
                blocks = await remember(backend, fact)
        except TimeoutError as error:
            raise UnavailableError("memory did not answer in time") from error
        if backend is self._backend:
            self.blocks = blocks
            self._written += 1

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_fresh())
            tasks.create_task(self._keep_capturing())

    async def flush(self, seconds: float) -> None:
        """Try for at most `seconds` to send what is queued; for the end of the process."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.turns) and self._backend is not None:
                    await self.turns.send_oldest(self._backend)
        except (MemoryBackendError, TimeoutError):
            pass
        self.turns.give_up()

    async def _keep_fresh(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            await self._known.wait()
            self._refresh.clear()
            loaded = await self._timed_load()
            delay = REFRESH_SECONDS if loaded else min(MAX_RETRY_SECONDS, delay * 2)
            await _wait(self._refresh, delay)
            await asyncio.sleep(self._loading_since + MIN_BETWEEN_SECONDS - time.monotonic())
            delay = FIRST_RETRY_SECONDS if delay == REFRESH_SECONDS else delay

    async def _keep_capturing(self) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            await self._known.wait()
            await self.turns.wait()
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
        except MemoryBackendError as fault:
            self._is(MemoryPhase.UNAVAILABLE, str(fault))
            return False
        asyncio.get_running_loop().call_later(AFTER_CAPTURE_SECONDS, self._refresh.set)
        return True

    async def _timed_load(self) -> bool:
        reloading, self._reloading = self._reloading, False
        self._loading_since = time.monotonic()
        loaded = await self._load()
        if reloading:
            _log_reload(time.monotonic() - self._loading_since, self.status)
        return loaded

    async def _load(self) -> bool:
        backend = self._backend
        if backend is None:
            return False
        written = self._written
        try:
            blocks = await backend.load_blocks()
        except MemoryBackendError as fault:
            self._is(MemoryPhase.UNAVAILABLE, str(fault))
            return False
        if backend is self._backend:
            self.blocks = blocks if written == self._written else self.blocks
            self._is(MemoryPhase.OK, "")
        return True

    def _is(self, phase: MemoryPhase, message: str) -> None:
        self.status = MemoryStatus(self.status.agent_id, phase, message)


def _log_reload(seconds: float, status: MemoryStatus) -> None:
    extra = {"event": "memory_reloaded", "ms": round(seconds * 1000), "outcome": status.phase.value}
    log.info("memory reloaded", extra=extra)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
