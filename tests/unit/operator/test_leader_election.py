"""Leader election against a fake Lease with versions, conflicts and outages."""

import asyncio
import copy
from typing import Any

import pytest
from voicesession_common import JsonObject
from voicesession_common.kube_client import Resource
from voicesession_operator.leader_election import LeaderElector, LeaseLostError

from tests.support.async_polling import until
from tests.support.fakes.leases import Clock, FakeLeases, elector, holder, identity


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_first_candidate_creates_the_lease(leases: FakeLeases, clock: Clock) -> None:
    assert await elector(leases, "a", clock).attempt()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "a_uid-a_1000.500"
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
    assert await LeaderElector(leases, "system", "lease", identity("a"), 8, wrong, clock).attempt()
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
    a = LeaderElector(leases, "system", "lease", identity("a"), 0.4)
    assert await a.attempt()
    leases.down = True
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(a.hold(), 30)


async def test_hold_survives_a_failed_renew(leases: FakeLeases, clock: Clock) -> None:
    a = elector(leases, "a", clock, 0.04)
    assert await a.attempt()
    holding = asyncio.create_task(a.hold())
    version = leases.version
    reads: list[float] = []
    leases.on_read = lambda: reads.append(clock.now)
    leases.down = True
    await until(lambda: len(reads) >= 2)
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


async def test_holder_with_late_answers_stops_before_the_record_expires(leases: FakeLeases, clock: Clock) -> None:
    """Let the API server answer late, then fail, so that the next candidate counts from the stored record."""
    duration = 0.04
    a = elector(leases, "a", clock, duration)
    assert await a.attempt()
    stored: list[float] = []

    def fail_slowly() -> None:
        clock.now += 0.2 * duration

    def answer_late() -> None:
        stored.append(clock.now)
        clock.now += 0.6 * duration
        leases.down, leases.on_read = True, fail_slowly

    leases.on_stored = answer_late
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(a.hold(), 30)
    assert len(stored) == 1
    assert clock.now - stored[0] < duration


async def test_first_deadline_counts_from_the_request_of_acquisition(leases: FakeLeases, clock: Clock) -> None:
    duration = 0.04
    a = elector(leases, "a", clock, duration)
    leases.on_stored = lambda: setattr(clock, "now", clock.now + 0.8 * duration)
    assert await a.attempt()
    leases.down = True
    reads: list[float] = []
    leases.on_read = lambda: reads.append(clock.now)
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(a.hold(), 30)
    assert len(reads) == 1


async def test_deleted_lease_stays_with_the_holder(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    leases.lease = None
    clock.now += 2
    assert not await b.attempt()
    assert await a.renew()
    assert holder(leases) == "a"
    assert leases.lease["spec"]["leaseTransitions"] == 1
    assert not await b.attempt()


@pytest.mark.parametrize("duration", [8, 3600])
async def test_deleted_lease_of_a_silent_holder_is_created_by_a_standby(
    leases: FakeLeases, clock: Clock, duration: float
) -> None:
    a, b = elector(leases, "a", clock, duration), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    leases.lease = None
    clock.now += 8
    assert await b.attempt()
    with pytest.raises(LeaseLostError):
        await a.renew()


@pytest.mark.parametrize("spec", [{}, {"spec": None}, {"spec": {"holderIdentity": None}}])
async def test_lease_without_a_holder_is_lost_and_free(leases: FakeLeases, clock: Clock, spec: dict[str, Any]) -> None:
    a, b = elector(leases, "a", clock), elector(leases, "b", clock)
    assert await a.attempt()
    assert not await b.attempt()
    assert leases.lease is not None
    leases.lease = {"metadata": {"name": "lease", "resourceVersion": "99"}, **spec}
    with pytest.raises(LeaseLostError):
        await a.renew()
    assert await b.attempt()


async def test_lost_lease_is_not_released(leases: FakeLeases) -> None:
    a = LeaderElector(leases, "system", "lease", identity("a"), 0.04)
    assert await a.attempt()
    leases.down = True
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(a.hold(), 30)
    leases.down = False
    before = copy.deepcopy(leases.lease)
    await a.release()
    assert leases.lease == before


async def test_lost_lease_is_acquired_again(leases: FakeLeases, clock: Clock) -> None:
    a, b = elector(leases, "a", clock, 0.04), elector(leases, "b", clock, 0.04)
    assert await a.attempt()
    assert not await b.attempt()
    clock.now += 1
    assert await b.attempt()
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(a.hold(), 30)
    assert not await a.attempt()
    await b.release()
    assert await a.attempt()


async def test_release_without_an_answer_ends_in_time(
    leases: FakeLeases, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicesession_operator.leader_election.RELEASE_SECONDS", 0.01)
    a = elector(leases, "a", clock)
    assert await a.attempt()

    async def never(resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        await asyncio.Event().wait()
        return {}

    leases.replace = never  # type: ignore[method-assign]
    await asyncio.wait_for(a.release(), 30)
