"""Waiting for a condition that other tasks of the event loop will fulfill."""

import asyncio
from collections.abc import Callable


async def until(check: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `check()` is true. Raise TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            if check():
                return
            await asyncio.sleep(0.005)
