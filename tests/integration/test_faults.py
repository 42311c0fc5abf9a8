"""The operator against a real API server with lost watches, errors, conflicts and delays."""

import asyncio

import pytest

from tests.support.cluster import manifests
from tests.support.cluster.fault_proxy import Fault, FaultProxy
from tests.support.cluster.fault_scenario import FaultScenario

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive]

RESYNC_DEADLINE_SECONDS = 80
"""The resync interval of 60 s, plus time for a busy machine."""
BURST_SECONDS = 5


async def _delete_unnoticed(scene: FaultScenario, watched: str, *deletion: str) -> None:
    """Delete an object while watches of its kind are refused and their history is expired."""
    await scene.until(lambda: _is_watching(scene.proxy, watched), f"a watch of {watched}", 30)
    fault = scene.proxy.expire_watches(watched)
    await scene.until(lambda: _has_hits(fault, 1), "the watch was refused", 30)
    await scene.do(scene.kube.run, "delete", *deletion, "-n", scene.namespace)
    # After six more refusals every watcher has listed again, including one with a slow list.
    hits = fault.hits + 6
    await scene.until(lambda: _has_hits(fault, hits), "the watch was refused again", 30)
    scene.proxy.lift(fault)
    await scene.until(lambda: _is_watching(scene.proxy, watched), f"a watch of {watched} again", 30)


async def _is_watching(proxy: FaultProxy, watched: str) -> bool:
    return proxy.watching(watched)


async def _has_hits(fault: Fault, times: int) -> bool:
    return fault.hits >= times


@pytest.mark.slow
async def test_missed_deletions_are_found_by_resync(scene: FaultScenario) -> None:
    """Expect a new pod for one session, and no room or pod of the other; one resync repairs both."""
    await scene.start("kept")
    await scene.sessions_have(1)
    (before,) = await scene.pods()
    await scene.start("lost")
    await scene.sessions_have(2)

    await _delete_unnoticed(scene, "/pods", "pod", before["metadata"]["name"], "--force", "--grace-period=0")
    await _delete_unnoticed(scene, "/voicesessions", "voicesession", "lost")

    async def repaired() -> bool:
        uids = [pod["metadata"]["uid"] for pod in await scene.pods()]
        return len(uids) == 1 and uids != [before["metadata"]["uid"]] and len(await scene.rooms()) == 1

    await scene.until(repaired, "a new pod, and no room or pod of the lost session", RESYNC_DEADLINE_SECONDS)


async def test_cut_watch_resumes(scene: FaultScenario) -> None:
    await scene.until(lambda: _is_watching(scene.proxy, "/voicesessions"), "a watch", 30)
    scene.proxy.lift(scene.proxy.expire_watches("/voicesessions"))
    await scene.start("after-the-cut")
    await scene.sessions_have(1)


async def test_conflicting_status_write_is_retried(scene: FaultScenario) -> None:
    fault = scene.proxy.add(Fault(r"/voicesessions/raced/status", "PATCH", status=409, times=3))
    await scene.start("raced")
    await scene.sessions_have(1)
    assert fault.hits == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_throttled_pod_creation_is_retried(scene: FaultScenario, status: int) -> None:
    fault = scene.proxy.add(Fault(r"/pods$", "POST", status=status, times=2))
    await scene.start("throttled")
    await scene.sessions_have(1)
    assert fault.hits == 2


async def test_operator_survives_a_burst_of_server_errors(scene: FaultScenario) -> None:
    fault = scene.proxy.add(Fault(r".*", status=500))
    await scene.start("one", "two", "three")
    await asyncio.sleep(BURST_SECONDS)
    scene.proxy.lift(fault)
    await scene.sessions_have(3)
    assert scene.process.process.returncode is None


async def test_slow_api_server_causes_no_duplicate_pods(scene: FaultScenario) -> None:
    fault = scene.proxy.add(Fault(r".*", "(POST|PATCH|DELETE)", delay=1.0))
    await scene.start("one", "two", "three", "four")
    await scene.sessions_have(4)
    created = [path for method, path, _ in scene.proxy.requests if method == "POST" and path.endswith("/pods")]
    assert len(created) == 4
    scene.proxy.lift(fault)


async def test_leader_without_renewed_lease_stands_by_and_leads_again(scene: FaultScenario, proxy: FaultProxy) -> None:
    assert await scene.process.stop() == 0
    async with scene.operator(lease_seconds=4) as operator:
        await scene.until(operator.ready, "the operator leads", 60)
        fault = proxy.add(Fault(r"/leases/", status=500))

        async def stands_by() -> bool:
            return (await operator.metrics())["voicesession_leader"] == 0

        await scene.until(stands_by, "the operator stands by", 30)
        proxy.lift(fault)
        await scene.until(operator.ready, "the operator leads again", 60)
        await scene.start("after-the-loss")
        await scene.sessions_have(1)
        await scene.end()


@pytest.mark.slow
async def test_deleted_watched_namespace_leaves_other_sessions_served(scene: FaultScenario, proxy: FaultProxy) -> None:
    """Delete a namespace with its Role, so that the API server refuses every request there."""
    assert await scene.process.stop() == 0
    other = f"{scene.namespace}-deleted"
    await scene.do(scene.kube.run, "create", "namespace", other)
    async with scene.operator(also_watched=(other,)) as operator:
        await scene.until(operator.ready, "the operator leads", 60)
        await scene.do(scene.kube.apply, manifests.fake_agent("fake", other), manifests.session("lost", other))
        await scene.start("kept")
        await scene.sessions_have(1)
        (kept,) = await scene.pods()
        await scene.until(lambda: scene.do(scene.livekit.rooms, other), "a room of the other namespace", 60)

        await scene.do(scene.kube.run, "delete", "namespace", other, "--wait=false")
        await scene.until(
            lambda: _has_no_rooms(scene, other), "no room of the deleted namespace", RESYNC_DEADLINE_SECONDS
        )
        fault = proxy.add(Fault(rf"/namespaces/{other}/", status=403))

        async def is_reported() -> bool:
            return (await operator.metrics())["voicesession_namespaces_unreadable"] == 1

        await scene.until(is_reported, "the namespace is reported", RESYNC_DEADLINE_SECONDS)
        await scene.start("new")
        await scene.sessions_have(2)
        assert kept["metadata"]["uid"] in [pod["metadata"]["uid"] for pod in await scene.pods()]
        proxy.lift(fault)
        await scene.end()


async def _has_no_rooms(scene: FaultScenario, namespace: str) -> bool:
    return not await scene.do(scene.livekit.rooms, namespace)
