"""The operator against a real API server that loses watches, errs, conflicts and dawdles."""

import asyncio

import pytest

from tests.support.cluster.fault_proxy import Fault, FaultProxy
from tests.support.cluster.fault_scenario import Scene

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive]

HEALED_SECONDS = 80
"""A full list every 60 s, and a busy machine."""
BURST_SECONDS = 5


async def _lost(scene: Scene, watched: str, *deletion: str) -> None:
    """Delete something while the watch on its kind is down and its history forgotten."""
    await scene.until(lambda: _watches(scene.proxy, watched), f"a watch of {watched}", 30)
    fault = scene.proxy.forget(watched)
    await scene.until(lambda: _hit(fault, 1), "the watch was refused", 30)
    await scene.do(scene.kube.run, "delete", *deletion, "-n", scene.namespace)
    # So many refusals later every watcher has listed after the deletion, even one whose last list is slow to arrive.
    enough = fault.hits + 6
    await scene.until(lambda: _hit(fault, enough), "the watch was refused again", 30)
    scene.proxy.lift(fault)
    await scene.until(lambda: _watches(scene.proxy, watched), f"a watch of {watched} again", 30)


async def _watches(proxy: FaultProxy, watched: str) -> bool:
    return proxy.watching(watched)


async def _hit(fault: Fault, times: int) -> bool:
    return fault.hits >= times


async def test_what_was_deleted_and_never_told_of_is_found_out(scene: Scene) -> None:
    """A pod is replaced; of a session nothing is left. Both wait for the same full list."""
    await scene.start("kept")
    await scene.sessions_have(1)
    (before,) = await scene.pods()
    await scene.start("lost")
    await scene.sessions_have(2)

    await _lost(scene, "/pods", "pod", before["metadata"]["name"], "--force", "--grace-period=0")
    await _lost(scene, "/voicesessions", "voicesession", "lost")

    async def healed() -> bool:
        uids = [pod["metadata"]["uid"] for pod in await scene.pods()]
        return len(uids) == 1 and uids != [before["metadata"]["uid"]] and len(await scene.rooms()) == 1

    await scene.until(healed, "another pod, and nothing of the lost session", HEALED_SECONDS)


async def test_a_watch_that_is_merely_cut_loses_nothing(scene: Scene) -> None:
    await scene.until(lambda: _watches(scene.proxy, "/voicesessions"), "a watch", 30)
    scene.proxy.lift(scene.proxy.forget("/voicesessions"))
    await scene.start("after-the-cut")
    await scene.sessions_have(1)


async def test_a_status_write_that_loses_its_race_is_made_again(scene: Scene) -> None:
    fault = scene.proxy.add(Fault(r"/voicesessions/raced/status", "PATCH", status=409, times=3))
    await scene.start("raced")
    await scene.sessions_have(1)
    assert fault.hits == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pod_that_cannot_be_made_yet_is_made_later(scene: Scene, status: int) -> None:
    fault = scene.proxy.add(Fault(r"/pods$", "POST", status=status, times=2))
    await scene.start("throttled")
    await scene.sessions_have(1)
    assert fault.hits == 2


async def test_a_burst_of_server_errors_is_sat_out(scene: Scene) -> None:
    fault = scene.proxy.add(Fault(r".*", status=500))
    await scene.start("one", "two", "three")
    await asyncio.sleep(BURST_SECONDS)
    scene.proxy.lift(fault)
    await scene.sessions_have(3)
    assert scene.process.process.returncode is None


async def test_a_slow_api_server_doubles_nothing(scene: Scene) -> None:
    fault = scene.proxy.add(Fault(r".*", "(POST|PATCH|DELETE)", delay=1.0))
    await scene.start("one", "two", "three", "four")
    await scene.sessions_have(4)
    made = [path for method, path, _ in scene.proxy.requests if method == "POST" and path.endswith("/pods")]
    assert len(made) == 4
    scene.proxy.lift(fault)


async def test_a_leader_that_cannot_renew_its_lease_stops(scene: Scene, proxy: FaultProxy) -> None:
    assert await scene.process.stop() == 0
    async with scene.operator(lease_seconds=4) as operator:
        await scene.until(operator.ready, "the operator leads", 60)
        fault = proxy.add(Fault(r"/leases/", status=500))
        assert await asyncio.wait_for(operator.process.wait(), 30) == 1
        proxy.lift(fault)
    async with scene.operator() as successor:
        await scene.until(successor.ready, "the next one leads", 60)
        assert await successor.stop() == 0
