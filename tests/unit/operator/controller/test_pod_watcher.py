"""Long polls to agent pods: each change enqueues the session once, and polls follow the serving pods."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from voicesession_common.bounds import Rate
from voicesession_common.errors import RetryableError, TerminalError
from voicesession_operator.clients.agent_pod import WAIT_SECONDS
from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.pod_watcher import FRESH_SECONDS, PodWatcher
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


async def test_first_state_is_awaited_and_later_states_need_no_call(watched: WatchedPods) -> None:
    watched.pods.states["pod-uid-0"] = AgentPodState("Unbound")
    watched.watcher.follow(HELLO, [pod()])
    first = asyncio.create_task(watched.watcher.state(pod()))
    await watched.polls(1)
    assert not first.done()
    watched.pods.tags.put_nowait("a")
    assert await first == AgentPodState("Unbound")
    watched.pods.states["pod-uid-0"] = AgentPodState("Bound")
    assert await watched.watcher.state(pod()) == AgentPodState("Unbound"), "no news has arrived"
    watched.pods.tags.put_nowait("b")
    await until(lambda: watched.enqueued == [HELLO])
    assert await watched.watcher.state(pod()) == AgentPodState("Bound")
    assert watched.pods.asked == []


async def test_first_answer_with_a_waiting_reconcile_enqueues_no_key(watched: WatchedPods) -> None:
    watched.watcher.follow(HELLO, [pod()])
    states = [asyncio.create_task(watched.watcher.state(pod())) for _ in range(2)]
    await watched.polls(1)
    watched.pods.tags.put_nowait("a")
    assert await asyncio.gather(*states) == [AgentPodState("Unbound")] * 2
    await watched.polls(2)
    assert watched.enqueued == []


async def test_life_with_300_seconds_of_talk_needs_10_pod_calls(watched: WatchedPods) -> None:
    talk = ["human"] * (300 // WAIT_SECONDS)
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(1)
    for tag in ("preparing", "unbound", "bound", "joined", "human", *talk, "left"):
        calls = len(watched.pods.waits)
        watched.now += 10
        watched.pods.tags.put_nowait(tag)
        await watched.polls(calls + 1)
        await watched.watcher.state(pod())
    await watched.watcher.put_state("10.0.0.1", "pod-uid-0", {"sessionUID": "u1", "epoch": 1, "memory": None})
    watched.watcher.follow(HELLO, ())
    assert len(watched.pods.waits) + len(watched.pods.asked) + len(watched.pods.received) <= 10


async def test_unchanged_tag_keeps_the_state(watched: WatchedPods) -> None:
    watched.pods.states["pod-uid-0"] = AgentPodState("Unbound")
    watched.watcher.follow(HELLO, [pod()])
    for _ in range(3):
        watched.pods.tags.put_nowait("a")
    await watched.polls(4)
    assert await watched.watcher.state(pod()) == AgentPodState("Unbound")


async def test_silent_pod_is_awaited_once(watched: WatchedPods) -> None:
    watched.pods.tags.put_nowait(RetryableError("ControlPortUnavailable", "no answer"))
    watched.watcher.follow(HELLO, [pod()])
    assert await watched.watcher.state(pod()) is None
    await watched.polls(2)
    assert await watched.watcher.state(pod()) is None, "the second poll waits, and the state does not"
    assert (watched.pods.asked, watched.enqueued) == ([], [])


async def test_end_of_answers_is_news(watched: WatchedPods) -> None:
    watched.pods.states["pod-uid-0"] = AgentPodState("Bound")
    watched.pods.tags.put_nowait("a")
    watched.watcher.follow(HELLO, [pod()])
    await until(lambda: watched.enqueued == [HELLO])
    del watched.pods.states["pod-uid-0"]
    watched.pods.tags.put_nowait(RetryableError("ControlPortUnavailable", "no answer"))
    await until(lambda: watched.enqueued == [HELLO, HELLO])
    assert await watched.watcher.state(pod()) is None
    assert watched.pods.asked == ["pod-uid-0"]


async def test_lost_connection_to_an_answering_pod_is_no_news(watched: WatchedPods) -> None:
    watched.pods.states["pod-uid-0"] = AgentPodState("Bound")
    watched.watcher.follow(HELLO, [pod()])
    watched.pods.tags.put_nowait("a")
    watched.pods.tags.put_nowait(RetryableError("ControlPortUnavailable", "no answer"))
    await watched.polls(3)
    assert watched.enqueued == [HELLO]
    assert await watched.watcher.state(pod()) == AgentPodState("Bound")
    assert watched.pods.waits[-1] == ("pod-uid-0", "a")


async def test_old_state_is_replaced_for_a_fresh_read(watched: WatchedPods) -> None:
    watched.pods.states["pod-uid-0"] = AgentPodState("Bound", active_at=1.0)
    watched.pods.tags.put_nowait("a")
    watched.watcher.follow(HELLO, [pod()])
    await until(lambda: watched.enqueued)
    watched.pods.states["pod-uid-0"] = AgentPodState("Bound", active_at=2.0)
    young = await watched.watcher.state(pod(), fresh=True)
    watched.now += FRESH_SECONDS
    old = await watched.watcher.state(pod(), fresh=True)
    assert young == AgentPodState("Bound", active_at=1.0)
    assert old == AgentPodState("Bound", active_at=2.0)


async def test_answer_to_a_desired_state_is_the_latest_state(watched: WatchedPods) -> None:
    watched.pods.states["pod-uid-0"] = AgentPodState("Unbound")
    watched.pods.tags.put_nowait("a")
    watched.watcher.follow(HELLO, [pod()])
    await until(lambda: watched.enqueued)
    await watched.watcher.put_state("10.0.0.1", "pod-uid-0", {"sessionUID": "u1", "epoch": 1, "memory": None})
    found = await watched.watcher.state(pod())
    assert found is not None
    assert (found.state, found.session_uid) == ("Bound", "u1")


async def test_state_of_an_unfollowed_pod_does_not_wait(watched: WatchedPods) -> None:
    watched.watcher.follow(HELLO, [pod()])
    waiting = asyncio.create_task(watched.watcher.state(pod()))
    await watched.polls(1)
    watched.watcher.follow(HELLO, ())
    assert await waiting is None


async def test_pod_without_entity_tags_is_not_polled_again(watched: WatchedPods) -> None:
    watched.pods.tags.put_nowait(TerminalError("NoEntityTag", "no tags"))
    watched.watcher.follow(HELLO, [pod()])
    await watched.polls(1)
    await until(lambda: open_polls() == 0)
    watched.watcher.follow(HELLO, [pod()])
    assert len(watched.pods.waits) == 1
    watched.pods.states["pod-uid-0"] = AgentPodState("Bound")
    assert await watched.watcher.state(pod()) == AgentPodState("Bound"), "each reconcile asks"


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


async def test_reconciler_follows_pods_with_an_address_until_the_session_is_finished() -> None:
    world = ReconcilerWorld()
    await world.reconcile()
    uid = world.pod()["metadata"]["uid"]
    assert world.pod_watcher.followed[HELLO] == []
    world.change_pod(phase="Running", podIP="10.0.0.1")
    await world.reconcile()
    assert world.pod_watcher.followed[HELLO] == [uid]
    world.pods.states[uid] = AgentPodState("Unbound")
    await world.reconcile()
    assert world.pod_watcher.followed[HELLO] == [uid]
    world.change_spec(end=True)
    await world.reconcile()
    await world.reconcile()
    assert world.session()["status"]["endReason"] == "Requested"
    assert world.pod_watcher.followed[HELLO] == []
