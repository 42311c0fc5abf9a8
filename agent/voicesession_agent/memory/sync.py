"""Background synchronization of memory: blocks are loaded and turns are captured."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from voicesession_agent.memory.backend import (
    DEFAULT_LABEL,
    Block,
    GuardedBackend,
    MemoryAddress,
    MemoryBackend,
    MemoryBackendError,
    MemoryPhase,
    MemorySettings,
    MemoryStatus,
    RejectedError,
    Remark,
    Turn,
    UnexpectedError,
    time_limit,
)
from voicesession_agent.memory.facts import (
    BlockRefusedError,
    EditOutcome,
    EditResult,
    MemoryEdit,
    find_block,
    forget,
    recall,
    remember,
)
from voicesession_agent.memory.turn_queue import DropReason, TurnQueue

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncTimings:
    """Times of the synchronization, in seconds."""

    refresh_seconds: float = 30.0
    after_capture_seconds: float = 2.0
    """Delay of the load after a capture; Letta's sleep-time agent edits blocks about 1 s after a captured turn."""
    min_between_seconds: float = 1.0
    """Minimum time between loads; humans begin to speak more often than memory needs to be loaded."""
    first_retry_seconds: float = 0.5
    max_retry_seconds: float = 10.0
    edit_seconds: float = 4.0
    """Timeout of `remember` and `forget`: the language model waits for it, and the human waits for the model.

    Three calls of a healthy Letta take 0.3 s.
    """
    recall_seconds: float = 1.5


class MemorySync:
    """Synchronization with one backend, in two loops. `blocks` is always replaced as a whole; readers need no lock."""

    def __init__(
        self,
        connect: Callable[[MemoryAddress], MemoryBackend],
        lost: Callable[[DropReason], None],
        repeated: Callable[[], None],
        timings: SyncTimings = SyncTimings(),
        edited: Callable[[MemoryEdit, EditOutcome], None] = lambda *_: None,
    ) -> None:
        self.blocks: tuple[Block, ...] = ()
        self.status = MemoryStatus()
        self.turns = TurnQueue(lost, repeated)
        self._connect = connect
        self._timings = timings
        self._on_edit = edited
        self._address: MemoryAddress | None = None
        self._backend: MemoryBackend | None = None
        self._capture = False
        self._writable = False
        self._recall = False
        self._label = DEFAULT_LABEL
        self._refusal: BlockRefusedError | None = None
        """Reason for the last edit's refusal, until the block changes."""
        self._reloading = False
        self._loading_since = 0.0
        self._known = asyncio.Event()
        self._refresh = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written = 0
        """Number of edits; blocks are stale if their load began before the last edit."""

    @property
    def remembers(self) -> bool:
        """Return True if facts can be remembered and forgotten."""
        return self._backend is not None and self._writable

    @property
    def recalls(self) -> bool:
        """Return True if earlier conversations can be searched."""
        return self._backend is not None and self._recall

    @property
    def reported_status(self) -> MemoryStatus:
        """The status for the operator; the reason of a refused edit is a problem too, although memory can be read."""
        if self._refusal is None or self.status.phase is not MemoryPhase.OK:
            return self.status
        return MemoryStatus(self.status.agent_id, MemoryPhase.UNAVAILABLE, str(self._refusal))

    def apply(self, desired: MemorySettings) -> None:
        """Apply the memory settings of the desired state. The address may arrive late, or change."""
        address = desired.memory
        self._capture = desired.capture and not desired.read_only
        if desired.read_only:
            self.turns.forget()
        if address is None:
            return
        self._writable = desired.remember and not desired.read_only
        self._recall = desired.recall and not desired.read_only
        if desired.remember_block != self._label:
            self._label, self._refusal = desired.remember_block, None
        if address == self._address:
            return
        self._address, self._backend = address, GuardedBackend(lambda: self._connect(address))
        self.status, self._refusal = MemoryStatus(address.agent_id, MemoryPhase.LOADING), None
        self._known.set()
        self._refresh.set()

    def reload(self) -> None:
        """Reload the blocks for a reset. The next job starts with the current blocks and does not wait."""
        if self._backend is None:
            _log_reload(0.0, self.status)
            return
        self._reloading = True
        self._refresh.set()

    def someone_speaks(self) -> None:
        """Load the blocks while a human speaks, so that a recent manual edit affects the next answer."""
        self._refresh.set()

    def heard(self, turn: Turn) -> None:
        """Queue a finished turn, unless capture is off."""
        if self._capture:
            self.turns.put(turn)

    async def remember(self, fact: str) -> None:
        """Write `fact` into memory now. Raise MemoryBackendError with a message for a language model."""
        await self._edit(MemoryEdit.REMEMBER, partial(remember, label=self._label, fact=fact))

    async def forget(self, fact: str, *, everything: bool) -> int:
        """Remove facts from memory now, and return their number. Raise MemoryBackendError as `remember`."""
        edit = partial(forget, label=self._label, fact=fact, everything=everything)
        return (await self._edit(MemoryEdit.FORGET, edit)).removed

    async def recall(self, words: str) -> list[Remark]:
        """Search earlier conversations. Raise MemoryBackendError as `remember`."""
        backend = self._backend
        if backend is None or not self._recall:
            raise RejectedError("there are no conversations that can be searched")
        async with time_limit(self._timings.recall_seconds):
            return await recall(backend, words)

    async def _edit(self, kind: MemoryEdit, edit: Callable[[MemoryBackend], Awaitable[EditResult]]) -> EditResult:
        outcome = EditOutcome.FAILED
        try:
            result = await self._timed_edit(edit)
            outcome, self._refusal = EditOutcome.OK, None
        except BlockRefusedError as refusal:
            outcome, self._refusal = refusal.outcome, refusal
            raise
        finally:
            self._on_edit(kind, outcome)
        return result

    async def _timed_edit(self, edit: Callable[[MemoryBackend], Awaitable[EditResult]]) -> EditResult:
        backend = self._backend
        if backend is None or not self._writable:
            raise RejectedError("there is no memory that can be written to")
        async with time_limit(self._timings.edit_seconds), self._writing:
            result = await edit(backend)
        if backend is self._backend:
            self.blocks = result.blocks
            self._written += 1
        return result

    async def run(self) -> None:
        """Run both loops until canceled; no error ends them."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_running(self._keep_fresh))
            tasks.create_task(self._keep_running(self._keep_capturing))

    async def flush(self, seconds: float) -> None:
        """Send the queued turns for at most `seconds`, at the end of the process."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.turns) and self._backend is not None:
                    await self.turns.send_oldest(self._backend)
        except (MemoryBackendError, TimeoutError):
            pass
        self.turns.give_up()

    async def _keep_running(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Start the loop again after an error, for the conversation does not depend on memory."""
        while True:
            try:
                await loop()
            except Exception as error:
                log.exception("memory failed", extra={"event": "memory_failed"})
                self._set_status(MemoryPhase.UNAVAILABLE, f"memory failed: {type(error).__name__}")
            await asyncio.sleep(self._timings.max_retry_seconds)

    async def _keep_fresh(self) -> None:
        timings = self._timings
        delay = timings.first_retry_seconds
        while True:
            await self._known.wait()
            self._refresh.clear()
            loaded = await self._timed_load()
            delay = timings.refresh_seconds if loaded else min(timings.max_retry_seconds, delay * 2)
            await _wait(self._refresh, delay)
            await asyncio.sleep(self._loading_since + timings.min_between_seconds - time.monotonic())
            delay = timings.first_retry_seconds if loaded else delay

    async def _keep_capturing(self) -> None:
        delay = self._timings.first_retry_seconds
        while True:
            await self._known.wait()
            await self.turns.wait()
            if await self._send():
                delay = self._timings.first_retry_seconds
                continue
            delay = min(self._timings.max_retry_seconds, delay * 2)
            await asyncio.sleep(delay)

    async def _send(self) -> bool:
        """Capture one turn. Return False if memory is unavailable."""
        backend = self._backend
        if backend is None or (self.status.phase is MemoryPhase.UNAVAILABLE and not await self._load()):
            return False
        try:
            await self.turns.send_oldest(backend)
        except RejectedError:
            # Memory works, and the turn is counted as lost; the next load shows whether the agent is gone.
            pass
        except MemoryBackendError as error:
            self._fail(error)
            return False
        asyncio.get_running_loop().call_later(self._timings.after_capture_seconds, self._refresh.set)
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
        except MemoryBackendError as error:
            self._fail(error)
            return False
        if backend is self._backend:
            self._take(blocks, is_stale=written != self._written)
        return True

    def _take(self, blocks: tuple[Block, ...], *, is_stale: bool) -> None:
        """Take loaded blocks. A changed block may accept the next edit."""
        self.blocks = self.blocks if is_stale else blocks
        if self._refusal is not None and find_block(self.blocks, self._label) != self._refusal.block:
            self._refusal = None
        self._set_status(MemoryPhase.OK, "")

    def _fail(self, error: MemoryBackendError) -> None:
        """Report memory as unavailable, and log an unexpected error once until memory works again."""
        if isinstance(error, UnexpectedError) and self.status.message != str(error):
            log.error("memory failed", exc_info=error, extra={"event": "memory_failed"})
        self._set_status(MemoryPhase.UNAVAILABLE, str(error))

    def _set_status(self, phase: MemoryPhase, message: str) -> None:
        self.status = MemoryStatus(self.status.agent_id, phase, message)


def _log_reload(seconds: float, status: MemoryStatus) -> None:
    extra = {"event": "memory_reloaded", "ms": round(seconds * 1000), "outcome": status.phase.value}
    log.info("memory reloaded", extra=extra)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
