"""Leader election against a fake Lease with versions, conflicts and outages, and the leader's label."""

import asyncio
import copy
from collections.abc import Callable

import pytest
from voicesession_common import JsonObject
from voicesession_common.api.constants import LEADER_LABEL
from voicesession_common.errors import ConflictError, NotFoundError, RetryableError
from voicesession_common.kube_client import Resource
from voicesession_operator.leader_election import LeaderElector, LeaseLostError, keep_leader_label, label_leader

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
        self.on_read: Callable[[], None] = lambda: None
        self.on_stored: Callable[[], None] = lambda: None
        """Runs after a write is stored, before its answer."""

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        self.on_read()
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
        self.on_stored()
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


class LabeledPods:
    """Pods of the release by name, with whether each has the leader's label; `fail_next` refuses one list."""

    def __init__(self, **labeled: bool) -> None:
        self.labeled = labeled
        self.patches = 0
        self.fail_next = False

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        assert selector == f"app.kubernetes.io/instance=demo,{LEADER_LABEL}=true"
        if self.fail_next:
            self.fail_next = False
            raise RetryableError("KubernetesUnavailable", "down")
        return [{"metadata": {"name": name}} for name, labeled in self.labeled.items() if labeled], "1"

    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        self.patches += 1
        if name not in self.labeled:
            raise NotFoundError("NotFound", "no pod")
        self.labeled[name] = body["metadata"]["labels"][LEADER_LABEL] == "true"
        return {}


async def test_leader_label_moves_to_the_leader() -> None:
    pods = LabeledPods(a=True, b=False, c=True)
    await label_leader(pods, "system", "demo", "b")
    assert pods.labeled == {"a": False, "b": True, "c": False}


async def test_right_leader_label_is_not_written_again() -> None:
    pods = LabeledPods(a=False, b=True)
    await label_leader(pods, "system", "demo", "b")
    assert pods.patches == 0


async def test_changed_leader_label_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicesession_operator.leader_election.LABEL_CHECK_SECONDS", 0.01)
    monkeypatch.setattr("voicesession_operator.leader_election.LABEL_RETRY_SECONDS", 0.01)
    pods = LabeledPods(a=False, b=False)
    keeping = asyncio.create_task(keep_leader_label(pods, "system", "demo", "b"))
    await until(lambda: pods.labeled["b"])
    pods.fail_next = True
    pods.labeled = {"a": True, "b": False}
    await until(lambda: pods.labeled == {"a": False, "b": True})
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
