"""The reconciler of VoicePools: pods, status writes, refusals."""

from typing import Any

import pytest
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.errors import ConflictError, RetryableError, TerminalError
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.pod_claims import PodClaims
from voicesession_operator.controller.pool_reconciler import PAUSE_SECONDS, STATUS_SECONDS, PoolReconciler
from voicesession_operator.domain.observed import AgentPodState
from voicesession_operator.domain.pool_plan import RETRY_SECONDS
from voicesession_operator.domain.pool_size import LONG_SECONDS, LONGEST_PAUSE_SECONDS, needed_pods

from tests.support import operator_objects
from tests.support.builders import CONFIG, T0
from tests.support.fakes.reconciler_world import FakeAgentPods, FakeEventRecorder, FakeKubernetes

FRONT = Key("default", "front")


class Scene:
    """A pool of the only VoiceAgent."""

    def __init__(self, agent: JsonObject | None = None, **warm: int) -> None:
        self.now = T0
        self.kube, self.cache, self.pods = FakeKubernetes(lambda: self.now), Cache(), FakeAgentPods()
        self.recorder = FakeEventRecorder()
        self.claims = PodClaims(self.kube, self.cache, lambda _: None, lambda: self.now)
        self.reconciler = PoolReconciler(
            self.kube, self.recorder, self.cache, self.claims, self.pods, CONFIG, lambda: self.now
        )
        self.put(ResourceKind.POOL, "voicepools", operator_objects.pool(warm=warm or {"min": 2}))
        self.put(ResourceKind.AGENT, "voiceagents", agent or operator_objects.agent())

    def put(self, kind: ResourceKind, plural: str, raw: JsonObject) -> None:
        self.cache.upsert(kind, self.kube.put(plural, raw))

    async def reconcile(self) -> float | None:
        return await self.reconciler.reconcile(FRONT)

    def created(self) -> list[JsonObject]:
        return [raw for (kind, _), raw in self.kube.objects.items() if kind == "pods"]

    def change_pods(self, **status: Any) -> None:
        for raw in self.created():
            self.put(ResourceKind.POD, "pods", {**raw, "status": {**raw["status"], **status}})

    def warm_up(self) -> None:
        self.change_pods(phase="Running", podIP="10.0.1.1", conditions=[{"type": "Ready", "status": "True"}])

    def status(self) -> JsonObject:
        found: JsonObject = self.kube.objects["voicepools", "front"]["status"]
        return found

    def condition(self, kind: str) -> tuple[str, str, str]:
        found = next(c for c in self.status()["conditions"] if c["type"] == kind)
        return found["status"], found["reason"], found["message"]


async def test_created_pods_belong_to_the_pool_and_know_no_session() -> None:
    scene = Scene()
    await scene.reconcile()
    first, second = scene.created()
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert [owner["kind"] for owner in first["metadata"]["ownerReferences"]] == ["VoicePool"]
    assert constants.SESSION_UID_LABEL not in first["metadata"]["labels"]
    assert first["metadata"]["annotations"] == {}
    assert (scene.status()["desired"], scene.condition("Ready")[:2]) == (2, ("False", "Warming"))


async def test_second_reconcile_creates_no_further_pods() -> None:
    scene = Scene()
    await scene.reconcile()
    await scene.reconcile()
    assert len(scene.created()) == 2


async def test_warm_pool_is_ready() -> None:
    scene = Scene()
    await scene.reconcile()
    scene.warm_up()
    scene.now += STATUS_SECONDS
    assert await scene.reconcile() is None
    assert (scene.status()["warm"], scene.condition("Ready")[:2]) == (2, ("True", "Warm"))
    assert scene.status()["selector"] == "voicesession.dev/pool=front,!voicesession.dev/session-uid"


async def test_changed_numbers_alone_are_written_at_most_every_two_seconds() -> None:
    scene = Scene()
    await scene.reconcile()
    scene.warm_up()
    await scene.reconcile()
    writes = scene.kube.writes.count("patch voicepools")
    scene.claims.tally(FRONT).misses += 1
    assert await scene.reconcile() == pytest.approx(STATUS_SECONDS)
    assert scene.kube.writes.count("patch voicepools") == writes
    scene.now += STATUS_SECONDS
    await scene.reconcile()
    assert (scene.status()["misses"], scene.claims.tally(FRONT).misses) == (1, 0)


async def test_claims_of_a_failed_status_write_are_counted_later() -> None:
    scene = Scene()
    await scene.reconcile()
    scene.now += STATUS_SECONDS
    scene.claims.tally(FRONT).hits += 1
    scene.kube.errors["patch voicepools"] = ConflictError("Conflict", "changed")
    assert await scene.reconcile() is not None
    await scene.reconcile()
    assert scene.status()["hits"] == 1


async def test_refill_waits_until_claims_pause() -> None:
    scene = Scene()
    scene.claims.tally(FRONT).arrivals.append(scene.now)
    assert await scene.reconcile() == pytest.approx(PAUSE_SECONDS)
    assert scene.created() == []
    scene.now += PAUSE_SECONDS
    await scene.reconcile()
    assert len(scene.created()) == 2


async def test_claims_without_a_pause_delay_the_refill_by_a_few_seconds() -> None:
    scene = Scene()
    for _ in range(int(LONGEST_PAUSE_SECONDS / 0.5)):
        scene.claims.tally(FRONT).arrivals.append(scene.now)
        await scene.reconcile()
        assert scene.created() == []
        scene.now += 0.5
    scene.claims.tally(FRONT).arrivals.append(scene.now)
    await scene.reconcile()
    assert len(scene.created()) == 2


async def test_pod_claimed_meanwhile_is_not_deleted() -> None:
    scene = Scene(min=0)
    raw = scene.kube.put("pods", operator_objects.warm_pod())
    scene.cache.upsert(ResourceKind.POD, raw)
    scene.kube.put("pods", raw)
    await scene.reconcile()
    assert "deletionTimestamp" not in scene.kube.objects["pods", "front-0"]["metadata"]


async def test_surplus_pod_is_deleted() -> None:
    scene = Scene(min=0)
    scene.put(ResourceKind.POD, "pods", operator_objects.warm_pod())
    await scene.reconcile()
    assert "deletionTimestamp" in scene.kube.objects["pods", "front-0"]["metadata"]


@pytest.mark.parametrize(
    "error", [RetryableError("QuotaExceeded", "exceeded quota: team-a"), TerminalError("Forbidden", "not allowed")]
)
async def test_refused_pod_is_reported_and_tried_again_later(error: Exception) -> None:
    scene = Scene()
    scene.kube.errors["create pods"] = error  # type: ignore[assignment]
    assert await scene.reconcile() == 0.0
    assert await scene.reconcile() == 5.0
    assert scene.created() == []
    status, reason, message = scene.condition("Progressing")
    assert (status, reason) == ("False", "PodNotWarm")
    assert message.endswith(str(error.args[-1]) if error.args else "")
    scene.now += RETRY_SECONDS
    await scene.reconcile()
    assert len(scene.created()) == 1


async def test_problem_known_to_the_pod_alone_is_reported() -> None:
    scene = Scene()
    await scene.reconcile()
    scene.change_pods(phase="Running", podIP="10.0.1.1")
    for raw in scene.created():
        scene.pods.states[raw["metadata"]["uid"]] = AgentPodState("Preparing", problem="no module named own_agent")
    await scene.reconcile()
    assert scene.condition("Progressing") == ("False", "PodNotWarm", "no module named own_agent")
    assert [event.message for event in scene.recorder.events] == ["no module named own_agent"]


async def test_pool_of_a_missing_agent_reports_cause() -> None:
    scene = Scene()
    scene.cache.remove(ResourceKind.AGENT, scene.kube.objects.pop(("voiceagents", "agent-66")))
    assert await scene.reconcile() is None
    assert scene.created() == []
    assert scene.condition("Ready")[:2] == ("False", "AgentNotFound")


async def test_scaled_pool_keeps_replicas_within_bounds() -> None:
    scene = Scene()
    raw = operator_objects.pool(warm={"min": 1, "max": 3}, replicas=2)
    scene.put(ResourceKind.POOL, "voicepools", raw)
    await scene.reconcile()
    assert (len(scene.created()), scene.status()["desired"]) == (2, 2)


async def test_deleted_pool_is_forgotten() -> None:
    scene = Scene()
    scene.claims.tally(FRONT).hits += 1
    scene.cache.remove(ResourceKind.POOL, scene.kube.objects["voicepools", "front"])
    assert await scene.reconcile() is None
    assert scene.claims.tally(FRONT).hits == 0


def ready_conditions(scheduled_at: float, ready_at: float) -> list[JsonObject]:
    times = {"PodScheduled": scheduled_at, "Ready": ready_at}
    return [{"type": kind, "status": "True", "lastTransitionTime": to_rfc3339(at)} for kind, at in times.items()]


async def test_refill_time_starts_on_the_node_and_counts_once() -> None:
    scene = Scene(min=1)
    await scene.reconcile()
    scene.change_pods(phase="Running", podIP="10.0.1.1", conditions=ready_conditions(T0 + 50, T0 + 56))
    scene.now += STATUS_SECONDS
    await scene.reconcile()
    assert scene.status()["refillSeconds"] == 6
    scene.change_pods(conditions=ready_conditions(T0 + 50, T0 + 3600))
    scene.now += STATUS_SECONDS
    await scene.reconcile()
    assert scene.status()["refillSeconds"] == 6


async def test_pod_of_an_earlier_leader_does_not_change_the_refill_time() -> None:
    scene = Scene(min=1)
    raw = operator_objects.warm_pod(age=3600)
    raw["status"]["conditions"] = ready_conditions(T0 - 3600, T0 - 1)
    scene.put(ResourceKind.POD, "pods", raw)
    await scene.reconcile()
    assert (scene.status()["warm"], scene.status()["refillSeconds"]) == (1, 0)


async def test_pool_follows_the_arrivals() -> None:
    scene = Scene()
    raw = operator_objects.pool(warm={"min": 0, "max": 9}, autoscaling={"mode": "Arrivals"})
    scene.put(ResourceKind.POOL, "voicepools", raw)
    await scene.reconcile()
    assert scene.status()["desired"] == 0
    scene.claims.tally(FRONT).arrivals.extend([scene.now] * 3)
    scene.now += 1
    await scene.reconcile()
    assert scene.status()["desired"] == needed_pods([T0] * 3, 0, T0 + 1) > 1
    assert scene.status()["arrivalsPerMinute"] == 3
    scene.now += LONG_SECONDS
    await scene.reconcile()
    assert scene.status()["desired"] == 0


async def test_pool_gives_room_once_for_waiting_session() -> None:
    scene = Scene(min=2)
    await scene.reconcile()
    scene.warm_up()
    await scene.reconcile()
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: 1 Insufficient memory."}
    scene.put(ResourceKind.POD, "pods", operator_objects.pod(conditions=[condition]))
    for _ in range(3):
        await scene.reconcile()
    ending = [raw for raw in scene.created() if "deletionTimestamp" in raw["metadata"]]
    assert len(ending) == 1
    assert constants.POOL_LABEL in ending[0]["metadata"]["labels"]
    assert scene.condition("ScalingLimited")[:2] == ("True", "GivesRoom")
