"""Fixtures of the tests of memory: a running synchronization."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from voicesession_agent.memory.sync import SyncTimings

from tests.support.fakes.memory_sync import QUICK, SyncScene


@pytest.fixture
def timings() -> SyncTimings:
    """Return the timings of `scene`; a test replaces them with a parameter of this name."""
    return QUICK


@pytest.fixture
async def scene(timings: SyncTimings) -> AsyncIterator[SyncScene]:
    scene = SyncScene(timings)
    yield scene
    scene.running.cancel()
    with suppress(asyncio.CancelledError):
        await scene.running
