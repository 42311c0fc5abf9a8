"""Fixtures: a folder of importable modules, and a supervisor with fake jobs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fakes.supervisor_world import SupervisorWorld


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
async def world() -> AsyncIterator[SupervisorWorld]:
    made = SupervisorWorld()
    yield made
    await made.end()
