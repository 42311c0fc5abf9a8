"""Waiting questions to agent pods: each change wakes its session, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from voicesession_common.errors import RetryableError, TerminalError
from voicesession_operator.controller import pod_watcher as pod_news
from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.pod_watcher import PodNews
from voicesession_operator.domain.observed import AgentPodState

from tests.support.builders import pod
from tests.support.fakes.reconciler_world import HELLO, Control, World

DEADLINE = 5.0


class Listening:
    def __init__(self) -> None:
        self.control = Control()
        self.woken: list[Key] = []
        self.news = PodNews(self.control, self.woken.append)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - what is waited for is the tested code itself
                await asyncio.sleep(0.001)

    async def asked(self, times: int) -> None:
        await self.until(lambda: len(self.control.waits) == times)


@pytest.fixture
async def listening(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    monkeypatch.setattr(pod_news, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(pod_news, "PAUSE_SECONDS", 0.0)
    made = Listening()
    running = asyncio.create_task(made.news.run())
    await asyncio.sleep(0)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert made.news._group is not None
    assert not made.news._group._tasks, "a listener outlived its owner"


async def test_a_change_wakes_the_session(listening: Listening) -> None:
    listening.news.follow(HELLO, [pod()])
    for tag in ("a", "a", "b"):
        listening.control.tags.put_nowait(tag)
    await listening.asked(4)
    assert listening.control.waits == [("pod-uid-0", known) for known in ("", "a", "a", "b")]
    assert listening.woken == [HELLO, HELLO]


async def test_a_pod_is_listened_to_once(listening: Listening) -> None:
    for _ in range(3):
        listening.news.follow(HELLO, [pod()])
        await listening.asked(1)
    listening.news.follow(HELLO, [pod(), pod(1)])
    await listening.asked(2)
    assert [uid for uid, _ in listening.control.waits] == ["pod-uid-0", "pod-uid-1"]


async def test_nobody_listens_to_a_pod_that_is_gone(listening: Listening) -> None:
    listening.news.follow(HELLO, [pod()])
    await listening.asked(1)
    listening.news.follow(HELLO, ())
    await listening.until(lambda: not listening.news._group or not listening.news._group._tasks)
    assert listening.news._listeners == {}


async def test_an_outage_is_sat_out(listening: Listening) -> None:
    listening.control.tags.put_nowait(RetryableError("ControlPortUnavailable", "no answer"))
    listening.control.tags.put_nowait("a")
    listening.news.follow(HELLO, [pod()])
    await listening.asked(3)
    assert listening.woken == [HELLO]


async def test_who_tells_no_tags_is_not_asked_again(listening: Listening) -> None:
    listening.control.tags.put_nowait(TerminalError("NoEntityTag", "it cannot tell"))
    listening.news.follow(HELLO, [pod()])
    await listening.until(lambda: bool(listening.news._group) and not listening.news._group._tasks)
    listening.news.follow(HELLO, [pod()])
    assert len(listening.control.waits) == 1


async def test_before_it_runs_nobody_is_asked() -> None:
    control = Control()
    PodNews(control, lambda _: None).follow(HELLO, [pod()])
    await asyncio.sleep(0)
    assert control.waits == []


async def test_sessions_are_listened_to_while_their_pod_answers_and_they_live() -> None:
    world = World()
    await world.reconcile()
    uid = world.pod()["metadata"]["uid"]
    world.change_pod(phase="Running", podIP="10.0.0.1")
    await world.reconcile()
    assert world.news.followed[HELLO] == [], "it does not answer yet"
    world.control.states[uid] = AgentPodState("Unbound")
    await world.reconcile()
    assert world.news.followed[HELLO] == [uid]
    world.change_spec(end=True)
    await world.reconcile()
    await world.reconcile()
    assert world.session()["status"]["endReason"] == "Requested"
    assert world.news.followed[HELLO] == []
