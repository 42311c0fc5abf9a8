"""Long polls to agent pods: each change enqueues the session once, and polls follow the serving pods."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from voicesession_common.errors import RetryableError, TerminalError
from voicesession_common.rate_limit import Rate
from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.pod_watcher import PodWatcher
from voicesession_operator.domain.observed import AgentPodState

from tests.support.async_polling import until
from tests.support.builders import pod
from tests.support.fakes.reconciler_world import HELLO, FakeAgentPods, ReconcilerWorld

BURST = 6


class WatchedPods:
    """A running watcher with fake pods and the enqueued sessions."""

    def __init__(self) -> None:
        self.pods = FakeAgentPods()
        self.enqueued: list[Key] = []
        self.now = 1000.0
        self.watcher = PodWatcher(
            self.pods,
            self.enqueued.append,
            retry_seconds=0.0,
            pause_seconds=0.0,
            rate=Rate(per_second=100.0, burst=BURST),
            clock=lambda: self.now,
        )

    async def polls(self, count: int) -> None:
        """Wait until this number of polls has begun."""
        await until(lambda: len(self.pods.waits) == count)


def open_polls() -> int:
    return sum("PodWatcher._poll" in repr(task) for task in asyncio.all_tasks())


@pytest.fixture
async def watched() -> AsyncIterator[WatchedPods]:
    made = WatchedPods()
    running = asyncio.create_task(made.watcher.run())
    await asyncio.sleep(0)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert open_polls() == 0, "a poll outlived its owner"


async def test_new_tag_enqueues_the_session(watched: WatchedPods) -> None:
    watched.watcher.follow(HELLO, [pod()])
    for tag in ("a", "a", "b"):
        watched.pods.tags.put_nowait(tag)
    await watched.polls(4)
    assert watched.pods.waits == [("pod-uid-0", known) for known in ("", "a", "a", "b")]
    assert watched.enqueued == [HELLO, HELLO]


async def test_followed_pod_is_polled_once(watched: WatchedPods) -> None:
    for _ in range(3):
        watched.watcher.follow(HELLO, [pod()])
        await watched.polls(1)
    watched.watcher.follow(HELLO, [pod(), pod(1)])
    await watched.polls(2)
    assert [uid for uid, _ in watched.pods.waits] == ["pod-uid-0", "pod-uid-1"]


async def test_removed_pod_is_no_longer_polled(watched: WatchedPods) -> None:
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(1)
    watched.watcher.follow(HELLO, ())
    await until(lambda: open_polls() == 0)


async def test_poll_is_retried_after_an_outage(watched: WatchedPods) -> None:
    watched.pods.tags.put_nowait(RetryableError("ControlPortUnavailable", "no answer"))
    watched.pods.tags.put_nowait("a")
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(3)
    assert watched.enqueued == [HELLO]


async def test_pod_without_entity_tags_is_not_polled_again(watched: WatchedPods) -> None:
    watched.pods.tags.put_nowait(TerminalError("NoEntityTag", "no tags"))
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(1)
    await until(lambda: open_polls() == 0)
    watched.watcher.follow(HELLO, [pod()])
    assert len(watched.pods.waits) == 1


async def test_pod_with_endless_changes_is_polled_at_the_limited_rate(watched: WatchedPods) -> None:
    for number in range(BURST * 3):
        watched.pods.tags.put_nowait(str(number))
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(BURST)
    for _ in range(100):
        await asyncio.sleep(0)
    assert watched.enqueued == [HELLO] * BURST, "the clock stands still, so no more polls are allowed"
    watched.now += 0.025
    await watched.polls(BURST + 2)
    await until(lambda: watched.enqueued == [HELLO] * (BURST + 2))


async def test_pod_without_changes_is_polled_at_the_limited_rate(watched: WatchedPods) -> None:
    for _ in range(BURST * 3):
        watched.pods.tags.put_nowait("same")
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(BURST)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(watched.pods.waits) == BURST


async def test_unexpected_error_ends_the_poll_of_a_single_pod(watched: WatchedPods) -> None:
    watched.pods.tags.put_nowait(ValueError("a header that cannot be sent"))
    watched.watcher.follow(HELLO, [pod()])
    await until(lambda: watched.pods.waits and open_polls() == 0)
    watched.watcher.follow(Key("default", "other"), [pod(1)])
    watched.pods.tags.put_nowait("a")
    await until(lambda: watched.enqueued == [Key("default", "other")])


async def test_stopped_watcher_polls_no_pod() -> None:
    pods = FakeAgentPods()
    PodWatcher(pods, lambda _: None).follow(HELLO, [pod()])
    await asyncio.sleep(0)
    assert pods.waits == []


async def test_reconciler_follows_answering_pods_of_unfinished_sessions() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    uid = world.pod()["metadata"]["uid"]
    world.change_pod(phase="Running", podIP="10.0.0.1")
    await world.reconcile()
    assert world.pod_watcher.followed[HELLO] == [], "the pod does not answer yet"
    world.pods.states[uid] = AgentPodState("Unbound")
    await world.reconcile()
    assert world.pod_watcher.followed[HELLO] == [uid]
    world.change_spec(end=True)
    await world.reconcile()
    await world.reconcile()
    assert world.session()["status"]["endReason"] == "Requested"
    assert world.pod_watcher.followed[HELLO] == []
