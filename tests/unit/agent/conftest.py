"""Modules to be found by name, as a user's own agent is, and a pod to be told things."""

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
