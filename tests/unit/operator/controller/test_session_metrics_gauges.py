"""The gauges: how many sessions, humans and troubles there are, and how old the oldest key is."""

import asyncio
from typing import Any

from voicesession_operator.controller.cache import Cache, Kind
from voicesession_operator.controller.session_metrics import Census
from voicesession_operator.controller.workqueue import WorkQueue

from tests.support import operator_objects
from tests.support.async_polling import until
from tests.support.metric_changes import value


def session(number: int, **status: Any) -> dict[str, Any]:
    return {**operator_objects.session(f"s{number}", f"uid-{number}", number + 1), "status": status}


def troubled(kind: str, status: str = "False") -> list[dict[str, str]]:
    return [{"type": "RoomReady", "status": "True"}, {"type": kind, "status": status}]


async def test_the_cache_is_counted() -> None:
    cache = Cache()
    for found in (
        session(0, phase="Starting", conditions=troubled("AgentJoined")),
        session(1, phase="Active", humans=2, readyAt="2025-11-22T23:20:11Z", conditions=troubled("MemoryReady")),
        session(
            2, phase="Ready", humans=1, readyAt="2025-11-22T23:20:11Z", conditions=troubled("MemoryReady", "Unknown")
        ),
        session(
            3,
            phase="Finished",
            readyAt="2025-11-22T23:20:11Z",
            finishedAt="2025-11-22T23:20:12Z",
            conditions=troubled("AgentJoined"),
        ),
        session(4),
    ):
        cache.upsert(Kind.SESSION, found)
    cache.upsert(
        Kind.AGENT, {**operator_objects.agent(), "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    )
    Census(cache, ()).take()
    assert [value("voicesession_sessions", phase=p) for p in ("Starting", "Active", "Grace", "Finished")] == [
        1,
        1,
        0,
        1,
    ]
    assert value("voicesession_humans") == 3
    assert value("voicesession_sessions_degraded", condition="MemoryReady") == 2
    assert value("voicesession_sessions_degraded", condition="AgentJoined") == 0
    assert (value("voicesession_voiceagents", ready="true"), value("voicesession_voiceagents", ready="false")) == (1, 0)

    Census(Cache(), ()).take()
    assert value("voicesession_sessions_degraded", condition="MemoryReady") == 0


async def test_the_oldest_key_is_the_one_that_is_worked_on_before_those_that_wait() -> None:
    gate = asyncio.Event()

    async def handle(key: str) -> float | None:
        await gate.wait()
        return None

    queue: WorkQueue[str] = WorkQueue("census", handle, workers=1)
    census = Census(Cache(), (queue,))
    census.take()
    assert value("voicesession_queue_oldest_seconds", queue="census") == 0.0
    worker = asyncio.create_task(queue.run())
    queue.add("running")
    queue.add("waiting")
    await until(lambda: queue._running)
    queue._running["running"] -= 50.0
    census.take()
    assert 50.0 <= value("voicesession_queue_oldest_seconds", queue="census") < 60.0
    gate.set()
    assert await queue.drain(1)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert value("voicesession_queue_wait_seconds_count", queue="census") == 1.0
