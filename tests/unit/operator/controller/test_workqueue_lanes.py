"""The order of the work queue: news before polls, and turns and shares of the tenants."""

import asyncio

from voicesession_operator.controller.workqueue import NEWS_IN_A_ROW

from tests.support.async_polling import until
from tests.support.running_queue import DEADLINE, Gate, running


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


async def test_silent_pods_of_a_tenant_leave_workers_to_news_of_other_tenants() -> None:
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
