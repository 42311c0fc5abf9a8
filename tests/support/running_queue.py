"""A running work queue of keys `tenant/name`, and a handler that blocks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from voicesession_operator.controller.workqueue import WorkQueue

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
