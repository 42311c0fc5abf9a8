"""Succession of a leader whose pod shows that its process has ended."""

from collections.abc import Callable

import pytest
from voicesession_common import JsonObject
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.errors import ExternalError, RetryableError, TerminalError
from voicesession_common.kube_client import PODS, Resource
from voicesession_operator.leader_election import Identity, LeaseLostError

from tests.support.fakes.leases import STARTED, Clock, FakeLeases, elector, holder, identity


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def terminated(finished_at: float) -> JsonObject:
    return {"terminated": {"finishedAt": to_rfc3339(finished_at)}}


def started(at: float) -> JsonObject:
    return {"running": {"startedAt": to_rfc3339(at)}}


@pytest.mark.parametrize(
    "status",
    [
        {"state": terminated(STARTED + 1)},
        {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": terminated(STARTED + 1)},
        {"state": started(STARTED + 2), "lastState": terminated(STARTED + 1)},
    ],
)
async def test_terminated_holder_is_followed_before_the_record_expires(
    leases: FakeLeases, clock: Clock, status: JsonObject
) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    assert not await b.attempt()
    leases.pods["a"]["status"]["containerStatuses"][1] |= status
    assert await b.attempt()
    assert holder(leases) == "b"
    with pytest.raises(LeaseLostError):
        await a.renew()


@pytest.mark.parametrize(
    ("container", "state"),
    [
        (1, {"lastState": terminated(STARTED - 1)}),
        (1, {"lastState": {"terminated": {}}}),
        (1, {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}),
        (0, {"state": terminated(STARTED + 1)}),
        pytest.param(
            1, {"state": started(STARTED - 1), "lastState": terminated(STARTED + 50)}, id="a clock that was set back"
        ),
    ],
)
async def test_holder_without_own_termination_keeps_the_lease(
    leases: FakeLeases, clock: Clock, container: int, state: JsonObject
) -> None:
    """Let the status show the end of an earlier container, of a sidecar, or none."""
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    leases.pods["a"]["status"]["containerStatuses"][container] |= state
    assert not await b.attempt()
    clock.now += 7
    assert not await b.attempt()
    clock.now += 1
    assert await b.attempt()


def _delete(leases: FakeLeases) -> None:
    del leases.pods["a"]


def _recreate(leases: FakeLeases) -> None:
    leases.pods["a"]["metadata"]["uid"] = "uid-of-another-pod"
    leases.pods["a"]["status"]["containerStatuses"][1]["state"] = terminated(STARTED + 1)


def _fail(leases: FakeLeases) -> None:
    """Let the pod garbage collection end the pod of a lost node."""
    leases.pods["a"]["status"] = {"phase": "Failed"}


@pytest.mark.parametrize("lose", [_delete, _recreate, _fail])
async def test_lost_pod_leaves_the_decision_to_the_lease(
    leases: FakeLeases, clock: Clock, lose: Callable[[FakeLeases], None]
) -> None:
    """Let the process of the lost pod run on: its node may be cut off from the cluster alone."""
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    lose(leases)
    assert not await b.attempt()
    clock.now += 7.9
    assert not await b.attempt()
    clock.now += 0.1
    assert await b.attempt()


@pytest.mark.parametrize(
    "error", [RetryableError("KubernetesUnavailable", "down"), TerminalError("Forbidden", "no Role")]
)
async def test_unreadable_pod_leaves_the_decision_to_the_lease(
    leases: FakeLeases, clock: Clock, error: ExternalError
) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    leases.pod_error = error
    assert not await b.attempt()
    clock.now += 7.9
    assert not await b.attempt()
    assert b.reachable
    assert leases.pod_reads == 1
    clock.now += 0.1
    assert await b.attempt()


async def test_renewing_holder_causes_no_read_of_the_pod(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    for _ in range(5):
        assert not await b.attempt()
        assert await a.renew()
    assert leases.pod_reads == 0


async def test_holder_renewing_during_the_read_of_the_pod_keeps_the_lease(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    leases.pods["a"]["status"]["containerStatuses"][1]["state"] = terminated(STARTED + 1)
    read, reads = leases.get, list[Resource]()

    async def get(resource: Resource, namespace: str, name: str) -> JsonObject:
        reads.append(resource)
        if resource is PODS:
            assert await a.renew()
        return await read(resource, namespace, name)

    leases.get = get  # type: ignore[method-assign]
    assert not await b.attempt()
    assert PODS in reads
    assert holder(leases) == "a"


async def test_restarted_container_takes_the_lease_of_the_last_process(leases: FakeLeases, clock: Clock) -> None:
    assert await elector(leases, "a", clock).attempt()
    assert await elector(leases, "a", clock, started_at=STARTED + 5).attempt()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "a_uid-a_1005.500"
    assert leases.lease["spec"]["leaseTransitions"] == 2


@pytest.mark.parametrize("name", ["nobody", "a_b", "a_uid-a_soon", "_uid_5", ""])
async def test_identity_of_another_form_is_not_parsed(name: str) -> None:
    assert Identity.parse(name) is None
    assert Identity.parse(str(identity("a"))) == identity("a")
