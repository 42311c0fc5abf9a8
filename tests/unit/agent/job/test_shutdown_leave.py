"""The leave of a dismissed job while LiveKit's client fails."""

import pytest
from voicesession_agent.protocol import Dismissal

from tests.unit.agent.job.test_shutdown import ShutdownScene


@pytest.mark.parametrize("error", [RuntimeError("the client is closed"), TimeoutError()])
async def test_failing_leave_skips_no_later_step(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = ShutdownScene()

    async def disconnect() -> None:
        raise error

    monkeypatch.setattr(scene.room, "disconnect", disconnect)
    scene.job.before_session_closes(scene.step("idle monitor"))
    await scene.dismiss(Dismissal.LEAVE)
    assert (scene.steps, scene.shutdowns, scene.count("gone")) == (["idle monitor"], ["dismissed"], 1)
    await scene.job.close()
