"""The work queue: deduplication, concurrency, delays, backoff, drain and health."""

import asyncio

import pytest
from voicesession_common.errors import RetryableError
from voicesession_operator.controller.workqueue import BACKOFF_LONGEST_SECONDS, WorkQueue

from tests.support.async_polling import until
from tests.support.running_queue import DEADLINE, Gate, running


async def test_waiting_key_is_queued_once() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("busy")
        await until(lambda: gate.started == ["busy"])
        for _ in range(5):
            queue.add("a")
        gate.open.set()
        await until(lambda: len(gate.started) == 2)
        assert await queue.drain(DEADLINE)
    assert gate.started == ["busy", "a"]


async def test_key_added_while_running_runs_once_more_afterwards() -> None:
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
        await queue.drain(DEADLINE)
    assert gate.max_concurrent == 1


async def test_different_keys_run_concurrently() -> None:
    gate = Gate()
    async with running(gate, workers=3) as queue:
        for key in "abcd":
            queue.add(key)
        await until(lambda: len(gate.started) == 3)
        gate.open.set()
        await until(lambda: len(gate.started) == 4)
    assert gate.max_concurrent == 3


async def test_add_after_keeps_the_earliest_time() -> None:
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
        await queue.drain(DEADLINE)
    assert 0.02 <= seen[0] - began < 30
    assert len(seen) == 1


async def test_returned_seconds_delay_the_next_run() -> None:
    waits = [0.0, 0.01, None]
    seen: list[str] = []

    async def handle(key: str) -> float | None:
        seen.append(key)
        return waits[len(seen) - 1]

    async with running(handle) as queue:
        queue.add("a")
        await until(lambda: len(seen) == 3)
        await queue.drain(DEADLINE)
    assert len(seen) == 3


async def test_run_cancels_the_pending_delay() -> None:
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


async def test_failures_back_off_until_success() -> None:
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
        await queue.drain(DEADLINE)
    first, second = times[1] - times[0], times[2] - times[1]
    assert 0.08 <= first < BACKOFF_LONGEST_SECONDS
    assert second >= 0.16


async def test_drain_finishes_running_keys_and_refuses_new_keys() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("a")
        queue.add("waiting")
        await until(lambda: gate.started == ["a"])
        draining = asyncio.create_task(queue.drain(DEADLINE))
        await asyncio.sleep(0)
        queue.add("late")
        queue.add_after("later", 0)
        gate.open.set()
        assert await draining
    assert gate.started == ["a"]


async def test_drain_processes_kept_keys() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("a")
        queue.add("waiting")
        queue.add("kept waiting")
        queue.add_after("delayed", 60)
        queue.add_after("kept delayed", 60)
        await until(lambda: gate.started == ["a"])
        draining = asyncio.create_task(queue.drain(DEADLINE, keep=lambda key: key.startswith("kept")))
        await asyncio.sleep(0)
        queue.add("late")
        queue.add("kept late")
        gate.open.set()
        assert await draining
    assert gate.started == ["a", "kept waiting", "kept delayed", "kept late"]


async def test_drain_retries_kept_keys_until_success() -> None:
    remaining = {"kept"}
    attempts: list[str] = []

    async def handle(key: str) -> float | None:
        attempts.append(key)
        if len(attempts) < 3:
            raise RetryableError("Down", "down")
        remaining.clear()
        return 60.0

    async with running(handle) as queue:
        queue.add("kept")
        queue.add("other")
        assert await queue.drain(DEADLINE, keep=remaining.__contains__)
    assert attempts == ["kept"] * 3


async def test_drain_returns_false_at_the_deadline() -> None:
    gate = Gate()
    async with running(gate) as queue:
        queue.add("a")
        await until(lambda: gate.started)
        assert not await queue.drain(0.02)


async def test_stuck_key_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    async with running(gate) as queue:
        assert queue.healthy()
        queue.add("a")
        await until(lambda: gate.started)
        assert queue.healthy()
        loop = asyncio.get_running_loop()
        later = loop.time() + 1000
        with monkeypatch.context() as patched:
            patched.setattr(loop, "time", lambda: later)
            assert not queue.healthy()


async def test_canceled_queue_forgets_all_keys() -> None:
    started = asyncio.Event()

    async def handle(key: str) -> None:
        started.set()
        await asyncio.Event().wait()

    queue: WorkQueue[str] = WorkQueue("test", handle, 1)
    running = asyncio.create_task(queue.run())
    for key in ("running", "waiting"):
        queue.add(key)
    queue.add_after("later", 3600)
    await started.wait()
    assert queue.oldest() > 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    queue.add("late")
    queue.add_after("later", 0)
    assert queue.oldest() == 0
    assert await queue.drain(30)
