"""Measurement of memory calls: duration, outcome and unchanged results."""

import asyncio

import pytest
from voicesession_agent.memory.backend import (
    Block,
    InstrumentedBackend,
    MemoryBackendError,
    MemoryCall,
    MemoryOutcome,
    RejectedError,
    Remark,
    Turn,
    UnavailableError,
    UncertainError,
    WriteConflictError,
)


class SlowBackend:
    """Backend that advances its clock by 1 s per call, and raises `error` if it is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.error: BaseException | None = None
        self.took: list[tuple[MemoryCall, MemoryOutcome, float]] = []
        self.memory = InstrumentedBackend(self, lambda *took: self.took.append(took), lambda: self.now)

    async def load_blocks(self) -> tuple[Block, ...]:
        self._work()
        return (Block("human", "likes blue"),)

    async def capture(self, turn: Turn) -> None:
        self._work()

    async def write(self, label: str, value: str) -> None:
        self._work()

    async def search(self, words: str) -> tuple[Remark, ...]:
        self._work()
        return (Remark("2026-11-01", "user", words),)

    def _work(self) -> None:
        self.now += 1.0
        if self.error is not None:
            raise self.error


async def test_call_is_forwarded_and_measured() -> None:
    slow = SlowBackend()
    assert await slow.memory.load_blocks() == (Block("human", "likes blue"),)
    await slow.memory.capture(Turn("hello", "hi"))
    await slow.memory.write("human", "likes red")
    assert await slow.memory.search("blue") == (Remark("2026-11-01", "user", "blue"),)
    assert slow.took == [
        (call, MemoryOutcome.OK, 1.0)
        for call in (MemoryCall.LOAD, MemoryCall.CAPTURE, MemoryCall.WRITE, MemoryCall.SEARCH)
    ]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (WriteConflictError("x"), MemoryOutcome.CONFLICT),
        (UnavailableError("x"), MemoryOutcome.UNAVAILABLE),
        (UncertainError("x"), MemoryOutcome.UNCERTAIN),
        (RejectedError("x"), MemoryOutcome.REJECTED),
    ],
)
async def test_error_is_measured_by_class_and_raised(error: MemoryBackendError, outcome: MemoryOutcome) -> None:
    slow = SlowBackend()
    slow.error = error
    with pytest.raises(type(error)):
        await slow.memory.load_blocks()
    assert slow.took == [(MemoryCall.LOAD, outcome, 1.0)]


async def test_canceled_call_is_measured_as_stopped() -> None:
    slow = SlowBackend()
    slow.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await slow.memory.capture(Turn("hello", "hi"))
    assert slow.took == [(MemoryCall.CAPTURE, MemoryOutcome.STOPPED, 1.0)]
