"""The prompt to a silent human: once per silence, after half of the idle limit."""

from typing import Any

import pytest
from voicesession_agent.assistant.idle_prompt import IdleMonitor, Silence

from tests.support.fakes.room import FakeAgentSession
from tests.support.fakes.timers import FakeTimers

LIMIT = 60.0
DUE = LIMIT / 2


class IdleScene:
    def __init__(self, seconds: float) -> None:
        self.prompts = 0
        self.timers = FakeTimers()
        self.session: Any = FakeAgentSession()
        self.monitor = IdleMonitor(self.prompt, seconds, self.timers.call_later)
        self.monitor.watch(self.session)

    def prompt(self) -> None:
        self.prompts += 1

    def human(self, state: str) -> None:
        self.session.emit("user_state_changed", new_state=state)

    def agent(self, state: str) -> None:
        self.session.emit("agent_state_changed", new_state=state)


@pytest.fixture
def scene() -> IdleScene:
    return IdleScene(LIMIT)


def test_silence_gets_single_prompt(scene: IdleScene) -> None:
    scene.monitor.set_human_present(True)
    scene.timers.advance(DUE - 1)
    assert (scene.prompts, scene.monitor.has_prompted) == (0, False)
    scene.timers.advance(1)
    assert scene.prompts == 1
    scene.agent("speaking")
    assert scene.monitor.has_prompted
    scene.agent("listening")
    scene.timers.advance(LIMIT)
    assert scene.prompts == 1
    scene.human("speaking")
    assert not scene.monitor.has_prompted
    scene.human("listening")
    scene.timers.advance(DUE)
    assert scene.prompts == 2


def test_away_state_does_not_restart_silence(scene: IdleScene) -> None:
    scene.monitor.set_human_present(True)
    scene.timers.advance(15.0)
    scene.human("away")
    assert scene.timers.pending == [DUE]


def test_empty_room_gets_no_prompt(scene: IdleScene) -> None:
    scene.timers.advance(LIMIT)
    scene.monitor.set_human_present(True)
    scene.monitor.set_human_present(False)
    scene.timers.advance(LIMIT)
    assert scene.prompts == 0


@pytest.mark.parametrize("speaker", ["human", "agent"])
def test_speech_ends_silence(scene: IdleScene, speaker: str) -> None:
    scene.monitor.set_human_present(True)
    getattr(scene, speaker)("speaking")
    scene.timers.advance(LIMIT)
    assert scene.prompts == 0


def test_zero_limit_disables_prompt_until_changed() -> None:
    scene = IdleScene(0.0)
    scene.monitor.set_human_present(True)
    scene.timers.advance(LIMIT)
    assert scene.prompts == 0
    scene.monitor.set_seconds(LIMIT)
    scene.timers.advance(DUE)
    assert scene.prompts == 1


async def test_closed_monitor_gives_no_prompt(scene: IdleScene) -> None:
    scene.monitor.set_human_present(True)
    await scene.monitor.close()
    scene.human("speaking")
    scene.human("listening")
    scene.timers.advance(LIMIT)
    assert scene.prompts == 0


@pytest.mark.parametrize(
    ("silence", "needs_prompt"),
    [
        (Silence(human_present=True), True),
        (Silence(), False),
        (Silence(human_present=True, human_speaking=True), False),
        (Silence(human_present=True, agent_busy=True), False),
        (Silence(human_present=True, prompted=True), False),
    ],
)
def test_silence_needs_prompt(silence: Silence, needs_prompt: bool) -> None:
    assert silence.needs_prompt is needs_prompt
