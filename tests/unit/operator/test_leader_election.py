"""Leader election against a fake Lease with versions, conflicts and outages, and the leader's label."""

import asyncio
import copy

import pytest
from voicesession_common import JsonObject
from voicesession_common.errors import ConflictError, NotFoundError, RetryableError
from voicesession_common.kube_client import Resource
from voicesession_operator.leader_election import LeaderElector, LeaseLostError

from tests.support.async_polling import until


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class FakeLeases:
    """Kubernetes with at most one Lease."""

    def __init__(self) -> None:
        self.lease: JsonObject | None = None
        self.down = False
        self.version = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        self._check()
        if self.lease is None:
            raise NotFoundError("NotFound", "no lease")
        return copy.deepcopy(self.lease)

    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject:
        self._check()
        if self.lease is not None:
            raise ConflictError("AlreadyExists", "taken")
        return self._put(body)

    async def replace(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        self._check()
        if self.lease is None or body["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError("Conflict", "changed")
        return self._put(body)

    def _check(self) -> None:
        if self.down:
            raise RetryableError("KubernetesUnavailable", "down")

    def _put(self, body: JsonObject) -> JsonObject:
        self.version += 1
        self.lease = copy.deepcopy({**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}})
        return copy.deepcopy(self.lease)


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def elector(leases: FakeLeases, identity: str, clock: Clock, duration: float = 8) -> LeaderElector:
    return LeaderElector(leases, "system", "lease", identity, duration, clock, clock)


async def test_first_candidate_creates_the_lease(leases: FakeLeases, clock: Clock) -> None:
    assert await elector(leases, "a", clock).attempt()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "a"
    assert leases.lease["spec"]["leaseDurationSeconds"] == 8
    assert leases.lease["spec"]["renewTime"] == "1970-01-01T00:16:40.000000Z"


async def test_held_lease_is_taken_over_when_the_holder_stops_renewing(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    clock.now += 6
    assert await a.renew()
    clock.now += 6
    assert not await b.attempt()
    clock.now += 7.9
    assert not await b.attempt()
    clock.now += 0.1
    assert await b.attempt()
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 2


async def test_lease_age_ignores_the_holders_clock(leases: FakeLeases, clock: Clock) -> None:
    wrong = Clock()
    wrong.now = 0.0
    assert await LeaderElector(leases, "system", "lease", "a", 8, wrong, clock).attempt()
    assert not await elector(leases, "b", clock).attempt()


async def test_concurrent_attempts_have_a_single_winner(leases: FakeLeases, clock: Clock) -> None:
    won = await asyncio.gather(*(elector(leases, name, clock).attempt() for name in "abc"))
    assert sum(won) == 1


async def test_restarted_holder_keeps_the_lease(leases: FakeLeases, clock: Clock) -> None:
    assert await elector(leases, "a", clock).attempt()
    assert await elector(leases, "a", clock).attempt()
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


async def test_released_lease_is_taken_at_once(leases: FakeLeases, clock: Clock) -> None:
    a = elector(leases, "a", clock)
    assert await a.attempt()
    await a.release()
    assert await elector(leases, "b", clock).attempt()


async def test_release_without_holding_leaves_the_lease_unchanged(leases: FakeLeases, clock: Clock) -> None:
    assert await elector(leases, "a", clock).attempt()
    before = copy.deepcopy(leases.lease)
    await elector(leases, "b", clock).release()
    assert leases.lease == before


async def test_renew_after_takeover_raises_lease_lost(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    clock.now += 9
    assert await b.attempt()
    with pytest.raises(LeaseLostError):
        await a.renew()


async def test_hold_during_outage_raises_lease_lost(leases: FakeLeases) -> None:
    a = LeaderElector(leases, "system", "lease", "a", 0.4)
    assert await a.attempt()
    leases.down = True
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(a.hold(), 2)


async def test_hold_survives_a_failed_renew(leases: FakeLeases) -> None:
    a = LeaderElector(leases, "system", "lease", "a", 0.4)
    assert await a.attempt()
    holding = asyncio.create_task(a.hold())
    version = leases.version
    leases.down = True
    await asyncio.sleep(0.12)
    leases.down = False
    await until(lambda: leases.version >= version + 3)
    assert not holding.done()
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_standby_during_outage_is_unreachable(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    assert b.reachable
    leases.down = True
    assert not await b.attempt()
    assert not b.reachable
