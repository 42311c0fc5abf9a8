"""The work queue: deduplication, concurrency, delays, backoff, drain and health."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from voicesession_common.errors import RetryableError
from voicesession_operator.controller.workqueue import BACKOFF_LONGEST_SECONDS, NEWS_IN_A_ROW, WorkQueue

from tests.support.async_polling import until

Handle = Callable[[str], Awaitable[float | None]]
DEADLINE = 30.0


def tenant_of(key: str) -> str:
    return key.partition("/")[0]


@asynccontextmanager
async def running(handle: Handle, workers: int = 4, share: int | None = None) -> AsyncIterator[WorkQueue[str]]:
    """Run a queue of keys `tenant/name`; every key is its own tenant if it has no name."""
    queue: WorkQueue[str] = WorkQueue("test", handle, workers, tenant_of, share)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Gate:
    """A handler that records its keys and blocks until opened."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.open = asyncio.Event()
        self.concurrent = 0
        self.max_concurrent = 0

    async def __call__(self, key: str) -> float | None:
        self.started.append(key)
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        await self.open.wait()
        self.concurrent -= 1
        return None


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


async def test_news_runs_before_waiting_polls() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        for number in range(5000):
            queue.add_poll(f"a/{number}")
        await until(lambda: gate.started == ["a/0"])
        queue.add("b/news")
        gate.open.set()
        await until(lambda: len(gate.started) > 1)
        assert gate.started[1] == "b/news"


async def test_waiting_poll_with_news_runs_once_as_news() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        for key in ("busy", "a", "b"):
            queue.add_poll(key)
        await until(lambda: gate.started == ["busy"])
        queue.add("b")
        queue.add_poll("b")
        gate.open.set()
        await until(lambda: len(gate.started) == 3)
        assert await queue.drain(DEADLINE)
    assert gate.started == ["busy", "b", "a"]


async def test_endless_news_leaves_a_turn_to_a_poll() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("busy")
        await until(lambda: gate.started == ["busy"])
        queue.add_poll("poll")
        for number in range(3 * NEWS_IN_A_ROW):
            queue.add(f"a/{number}")
        gate.open.set()
        await until(lambda: "poll" in gate.started)
        assert gate.started.index("poll") == NEWS_IN_A_ROW


async def test_news_while_a_poll_runs_precedes_other_polls() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add_poll("a")
        queue.add_poll("b")
        await until(lambda: gate.started == ["a"])
        queue.add_poll("a")
        queue.add("a")
        gate.open.set()
        await until(lambda: len(gate.started) == 3)
    assert gate.started == ["a", "a", "b"]


async def test_tenants_with_waiting_news_take_turns() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add("a/busy")
        await until(lambda: gate.started == ["a/busy"])
        for key in ("a/1", "a/2", "a/3", "b/1", "c/1"):
            queue.add(key)
        gate.open.set()
        await until(lambda: len(gate.started) == 6)
    assert gate.started[1:] == ["a/1", "b/1", "c/1", "a/2", "a/3"]


async def test_silent_pods_of_one_tenant_leave_workers_to_the_news_of_another() -> None:
    silence = asyncio.Event()
    done: list[str] = []

    async def handle(key: str) -> float | None:
        if key.startswith("silent/"):
            await silence.wait()
        done.append(key)
        return None

    async with running(handle, workers=16, share=12) as queue:
        for number in range(5000):
            queue.add_poll(f"silent/poll-{number}")
        for number in range(200):
            queue.add(f"silent/news-{number}")
        await asyncio.sleep(0)
        queue.add("other/news")
        await until(lambda: done)
        assert done == ["other/news"]
        silence.set()
        await until(lambda: len(done) == 5201)


async def test_short_delay_keeps_the_precedence_of_news() -> None:
    gate = Gate()
    async with running(gate, workers=1) as queue:
        queue.add_after("step", 0.01)
        queue.add("busy")
        await until(lambda: gate.started == ["busy"])
        for number in range(100):
            queue.add_poll(f"poll/{number}")
        loop = asyncio.get_running_loop()
        due = loop.time() + 0.02
        await until(lambda: loop.time() > due)
        gate.open.set()
        await until(lambda: len(gate.started) > 1)
    assert gate.started[1] == "step"
