"""The queue: one worker per key, nothing lost, failures back off, the earliest wish wins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from voicesession_common.errors import RetryableError
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support.async_polling import until

Handle = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def running(handle: Handle, workers: int = 4) -> AsyncIterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue("test", handle, workers)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Gate:
    """A handler that waits to be let through and notes what it saw."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.open = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, key: str) -> float | None:
        self.started.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1
        return None


async def test_a_key_waits_only_once() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("busy")
        await until(lambda: gate.started == ["busy"])
        for _ in range(5):
            queue.add("a")
        gate.open.set()
        await until(lambda: len(gate.started) == 2)
        assert await queue.drain(1)
    assert gate.started == ["busy", "a"]


async def test_a_key_added_while_it_runs_runs_once_more_and_never_beside_itself() -> None:
    gate = Gate()
    async with running(gate) as queue:
        queue.add("a")
        await until(lambda: gate.started == ["a"])
        queue.add("a")
        queue.add("a")
        await asyncio.sleep(0)
        assert gate.started == ["a"]
        gate.open.set()
        await until(lambda: gate.started == ["a", "a"])
        await queue.drain(1)
    assert gate.most_at_once == 1


async def test_other_keys_run_side_by_side() -> None:
    gate = Gate()
    async with running(gate, workers=3) as queue:
        for key in "abcd":
            queue.add(key)
        await until(lambda: len(gate.started) == 3)
        gate.open.set()
        await until(lambda: len(gate.started) == 4)
    assert gate.most_at_once == 3


async def test_the_earliest_of_several_wishes_wins() -> None:
    seen: list[float] = []
    loop = asyncio.get_running_loop()

    async def handle(_: str) -> float | None:
        seen.append(loop.time())
        return None

    async with running(handle) as queue:
        began = loop.time()
        queue.add_after("a", 60)
        queue.add_after("a", 0.02)
        queue.add_after("a", 30)
        await until(lambda: seen)
        await queue.drain(1)
    assert 0.02 <= seen[0] - began < 1
    assert len(seen) == 1


async def test_what_the_handler_returns_is_when_it_runs_again() -> None:
    waits = [0.0, 0.01, None]
    seen: list[str] = []

    async def handle(key: str) -> float | None:
        seen.append(key)
        return waits[len(seen) - 1]

    async with running(handle) as queue:
        queue.add("a")
        await until(lambda: len(seen) == 3)
        await queue.drain(1)
    assert len(seen) == 3


async def test_a_run_takes_the_place_of_a_wish_for_later() -> None:
    seen: list[str] = []

    async def handle(key: str) -> float | None:
        seen.append(key)
        return None

    async with running(handle) as queue:
        queue.add_after("a", 0.03)
        queue.add("a")
        await until(lambda: seen)
        queue.add_after("b", 0.06)
        await until(lambda: "b" in seen)
    assert seen == ["a", "b"]


async def test_failures_back_off_and_success_forgets_them() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    errors: list[Exception | None] = [RetryableError("Down", "down"), ValueError("a bug"), None]

    async def handle(_: str) -> float | None:
        times.append(loop.time())
        error = errors[len(times) - 1]
        if error is not None:
            raise error
        return None

    async with running(handle) as queue:
        queue.add("a")
        await until(lambda: len(times) == 3)
        await queue.drain(1)
    first, second = times[1] - times[0], times[2] - times[1]
    assert 0.08 <= first < 0.5
    assert second >= 0.16


async def test_drain_finishes_what_runs_and_takes_in_nothing() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("a")
        queue.add("waiting")
        await until(lambda: gate.started == ["a"])
        draining = asyncio.create_task(queue.drain(1))
        await asyncio.sleep(0)
        queue.add("late")
        queue.add_after("later", 0)
        gate.open.set()
        assert await draining
    assert gate.started == ["a"]


async def test_drain_gives_up_on_a_key_that_does_not_end() -> None:
    gate = Gate()
    async with running(gate) as queue:
        queue.add("a")
        await until(lambda: gate.started)
        assert not await queue.drain(0.02)


async def test_a_stuck_key_is_unhealthy() -> None:
    gate = Gate()
    async with running(gate) as queue:
        assert queue.healthy()
        queue.add("a")
        await until(lambda: gate.started)
        assert queue.healthy()
        queue._running["a"] -= 1000
        assert not queue.healthy()
