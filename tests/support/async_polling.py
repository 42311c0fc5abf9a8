"""Waiting for something that other tasks of the loop will do."""

import asyncio
from collections.abc import Callable


async def until(check: Callable[[], object], seconds: float = 2.0) -> None:
    """Return once `check()` is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            if check():
                return
            await asyncio.sleep(0.005)
