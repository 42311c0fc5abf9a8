"""Fixtures: a folder of importable modules, and a supervisor with fake jobs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from voicesession_agent.supervisor.reset import JOB_TIMINGS, JobTimings

from tests.support.fakes.supervisor_world import SupervisorWorld


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def timings() -> JobTimings:
    """Return the timings of `world`; a test replaces them with a parameter of this name."""
    return JOB_TIMINGS


@pytest.fixture
async def world(timings: JobTimings) -> AsyncIterator[SupervisorWorld]:
    made = SupervisorWorld(timings=timings)
    yield made
    await made.end()
