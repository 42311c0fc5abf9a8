"""The election, against a Lease that behaves like the API server's: versions, conflicts, outages."""

import asyncio
import copy
from typing import Any

import pytest
from voicesession_common.errors import ConflictError, NotFoundError, RetryableError
from voicesession_common.kube_client import Resource
from voicesession_operator.leader_election import Elector, LeaseLost

from tests.support.async_polling import until

Object = dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """One Lease."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.down = False
        self.version = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._check()
        if self.lease is None:
            raise NotFoundError("NotFound", "no lease")
        return copy.deepcopy(self.lease)

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        self._check()
        if self.lease is not None:
            raise ConflictError("AlreadyExists", "taken")
        return self._put(body)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        self._check()
        if self.lease is None or body["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError("Conflict", "changed")
        return self._put(body)

    def _check(self) -> None:
        if self.down:
            raise RetryableError("KubernetesUnavailable", "down")

    def _put(self, body: Object) -> Object:
        self.version += 1
        self.lease = copy.deepcopy({**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}})
        return copy.deepcopy(self.lease)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def elector(store: Store, identity: str, clock: Clock, duration: float = 8) -> Elector:
    return Elector(store, "system", "lease", identity, duration, clock, clock)


async def test_the_first_one_creates_it(store: Store, clock: Clock) -> None:
    assert await elector(store, "a", clock).attempt()
    assert store.lease is not None
    assert store.lease["spec"]["holderIdentity"] == "a"
    assert store.lease["spec"]["leaseDurationSeconds"] == 8
    assert store.lease["spec"]["renewTime"] == "1970-01-01T00:16:40.000000Z"


async def test_a_held_lease_is_left_alone_until_it_has_stood_still(store: Store, clock: Clock) -> None:
    a, b = elector(store, "a", clock), elector(store, "b", clock)
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
    assert store.lease is not None
    assert store.lease["spec"]["leaseTransitions"] == 2


async def test_age_is_not_judged_by_the_other_ones_clock(store: Store, clock: Clock) -> None:
    wrong = Clock()
    wrong.now = 0.0
    assert await Elector(store, "system", "lease", "a", 8, wrong, clock).attempt()
    assert not await elector(store, "b", clock).attempt()


async def test_of_two_that_try_at_once_one_wins(store: Store, clock: Clock) -> None:
    won = await asyncio.gather(*(elector(store, name, clock).attempt() for name in "abc"))
    assert sum(won) == 1


async def test_a_restarted_holder_goes_on_at_once(store: Store, clock: Clock) -> None:
    assert await elector(store, "a", clock).attempt()
    assert await elector(store, "a", clock).attempt()
    assert store.lease is not None
    assert store.lease["spec"]["leaseTransitions"] == 1


async def test_a_released_lease_is_free_at_once(store: Store, clock: Clock) -> None:
    a = elector(store, "a", clock)
    assert await a.attempt()
    await a.release()
    assert await elector(store, "b", clock).attempt()


async def test_releasing_what_one_does_not_hold_changes_nothing(store: Store, clock: Clock) -> None:
    assert await elector(store, "a", clock).attempt()
    before = copy.deepcopy(store.lease)
    await elector(store, "b", clock).release()
    assert store.lease == before


async def test_whoever_was_overtaken_notices(store: Store, clock: Clock) -> None:
    a, b = elector(store, "a", clock), elector(store, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    clock.now += 9
    assert await b.attempt()
    with pytest.raises(LeaseLost):
        await a.renew()


async def test_holding_ends_when_renewing_is_impossible(store: Store) -> None:
    a = Elector(store, "system", "lease", "a", 0.4)
    assert await a.attempt()
    store.down = True
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(a.hold(), 2)


async def test_holding_survives_one_failure(store: Store) -> None:
    a = Elector(store, "system", "lease", "a", 0.4)
    assert await a.attempt()
    holding = asyncio.create_task(a.hold())
    version = store.version
    store.down = True
    await asyncio.sleep(0.12)
    store.down = False
    await until(lambda: store.version >= version + 3)
    assert not holding.done()
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_an_unreachable_lease_makes_a_useless_stand_by(store: Store, clock: Clock) -> None:
    a, b = elector(store, "a", clock), elector(store, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    assert b.reachable
    store.down = True
    assert not await b.attempt()
    assert not b.reachable
