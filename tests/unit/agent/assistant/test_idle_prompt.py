"""Asking whether she is still there."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from voicesession_agent.assistant.idle_prompt import IdleMonitor, Silence

from tests.support.fakes.room import FakeAgentSession

SECONDS = 0.04
LONG = 0.08


class Scene:
    def __init__(self, seconds: float) -> None:
        self.asked = 0
        self.session: Any = FakeAgentSession()
        self.monitor = IdleMonitor(self.ask, seconds)
        self.monitor.watch(self.session)

    def ask(self) -> None:
        self.asked += 1

    def human(self, state: str) -> None:
        self.session.emit("user_state_changed", new_state=state)

    def agent(self, state: str) -> None:
        self.session.emit("agent_state_changed", new_state=state)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene(SECONDS)
    yield made
    await made.monitor.close()


async def test_it_asks_once_per_silence(scene: Scene) -> None:
    scene.monitor.there(True)
    assert not scene.monitor.asked
    await asyncio.sleep(LONG)
    assert scene.asked == 1
    scene.agent("speaking")
    assert scene.monitor.asked
    scene.agent("listening")
    await asyncio.sleep(LONG)
    assert scene.asked == 1
    scene.human("speaking")
    assert not scene.monitor.asked
    scene.human("listening")
    await asyncio.sleep(LONG)
    assert scene.asked == 2


async def test_her_being_taken_for_away_is_no_new_silence(scene: Scene) -> None:
    scene.monitor.there(True)
    begun = scene.monitor._timer
    scene.human("away")
    assert scene.monitor._timer is begun is not None


async def test_nobody_there_is_not_asked(scene: Scene) -> None:
    await asyncio.sleep(LONG)
    scene.monitor.there(True)
    scene.monitor.there(False)
    await asyncio.sleep(LONG)
    assert scene.asked == 0


@pytest.mark.parametrize("who", ["human", "agent"])
async def test_speech_ends_the_silence(scene: Scene, who: str) -> None:
    scene.monitor.there(True)
    getattr(scene, who)("speaking")
    await asyncio.sleep(LONG)
    assert scene.asked == 0


async def test_off_until_told_otherwise() -> None:
    scene = Scene(0.0)
    scene.monitor.there(True)
    await asyncio.sleep(LONG)
    assert scene.asked == 0
    scene.monitor.set_seconds(SECONDS)
    await asyncio.sleep(LONG)
    assert scene.asked == 1


async def test_once_closed_it_asks_nobody(scene: Scene) -> None:
    scene.monitor.there(True)
    await scene.monitor.close()
    scene.human("listening")
    await asyncio.sleep(LONG)
    assert scene.asked == 0


@pytest.mark.parametrize(
    ("silence", "worth"),
    [
        (Silence(there=True), True),
        (Silence(), False),
        (Silence(there=True, human_speaks=True), False),
        (Silence(there=True, agent_busy=True), False),
        (Silence(there=True, asked=True), False),
    ],
)
def test_when_it_is_worth_asking(silence: Silence, worth: bool) -> None:
    assert silence.worth_asking is worth
