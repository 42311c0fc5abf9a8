"""The plan of a VoicePool."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.reasons import ConditionType, PoolReason
from voicesession_common.api.voicepool import PoolStatus, VoicePool
from voicesession_operator.domain.pool_plan import (
    GIVE_SECONDS,
    LEAST_WARMING,
    RETRY_SECONDS,
    WARM_SECONDS,
    ObservedPool,
    PoolPlan,
    PoolPod,
    plan_pool,
)

from tests.support.builders import T0


def pool(minimum: int = 1, maximum: int | None = None, **values: Any) -> VoicePool:
    most = minimum if maximum is None else maximum
    return VoicePool("default", "front", "pool-uid", 1, "agent-66", minimum=minimum, maximum=most, **values)


def pod(number: int = 0, template: str = "new", **values: Any) -> PoolPod:
    given_values = {"created_at": T0, "live": True, "ready": True, **values}
    return PoolPod(f"front-{number}", f"uid-{number}", "7", template, **given_values)


def plan(of: VoicePool, *pods: PoolPod, now: float = T0 + 1, template: str = "new", **values: Any) -> PoolPlan:
    return plan_pool(of, ObservedPool(template, pods, values.pop("needed", of.minimum), **values), now)


def reason(planned: PoolPlan, kind: ConditionType) -> tuple[str, str]:
    found = find_condition(planned.status.conditions, kind)
    assert found is not None
    return found.status, found.reason


def names(planned: PoolPlan) -> list[str]:
    return [found.name for found in planned.delete]


def broken(of: VoicePool) -> VoicePool:
    """Return the pool with the stored condition of a pod that does not get warm."""
    condition = Condition(ConditionType.PROGRESSING, "False", PoolReason.POD_NOT_WARM, "boom", T0)
    return replace(of, status=PoolStatus(conditions=(condition,)))


def test_empty_pool_creates_minimum() -> None:
    planned = plan(pool(3))
    assert (planned.create, planned.delete) == (3, ())
    assert reason(planned, ConditionType.READY) == ("False", PoolReason.WARMING)
    assert reason(planned, ConditionType.PROGRESSING) == ("True", PoolReason.WARMING)


def test_few_pods_start_at_a_time() -> None:
    assert plan(pool(10)).create == LEAST_WARMING
    assert plan(pool(10), *(pod(n, ready=False) for n in range(3))).create == LEAST_WARMING - 3
    assert plan(pool(100)).create == 25


def test_full_pool_is_ready_and_complete() -> None:
    planned = plan(pool(2), pod(0), pod(1))
    assert (planned.create, planned.delete, planned.requeue_after) == (0, (), None)
    assert reason(planned, ConditionType.READY) == ("True", PoolReason.WARM)
    assert reason(planned, ConditionType.PROGRESSING) == ("True", PoolReason.COMPLETE)
    assert (planned.status.desired, planned.status.warm, planned.status.warming) == (2, 2, 0)


def test_terminating_pod_is_replaced_at_once() -> None:
    assert plan(pool(1), pod(0, deleting=True, live=False)).create == 1


@pytest.mark.parametrize(
    ("needed", "desired", "limited"),
    [
        (0, 1, ("True", PoolReason.TOO_FEW_REPLICAS)),
        (3, 3, ("False", PoolReason.DESIRED_WITHIN_RANGE)),
        (9, 5, ("True", PoolReason.TOO_MANY_REPLICAS)),
    ],
)
def test_desired_number_stays_within_bounds(needed: int, desired: int, limited: tuple[str, str]) -> None:
    planned = plan(pool(1, 5), needed=needed)
    assert planned.status.desired == desired
    assert reason(planned, ConditionType.SCALING_LIMITED) == limited


def test_surplus_pods_are_deleted_and_starting_pods_first() -> None:
    warm, starting = [pod(n, created_at=T0 + n) for n in range(2)], pod(2, ready=False)
    assert names(plan(pool(2), *warm, starting)) == ["front-2"]
    assert names(plan(pool(1), *warm)) == ["front-1"]


def test_rollout_keeps_capacity_until_new_pods_are_warm() -> None:
    old = [pod(n, template="old", created_at=T0 - 9 + n) for n in range(4)]
    first = plan(pool(4), *old)
    assert (first.create, names(first)) == (1, [])
    assert reason(first, ConditionType.PROGRESSING) == ("True", PoolReason.ROLLING_OUT)
    second = plan(pool(4), *old, pod(4, ready=False))
    assert (second.create, names(second)) == (0, [])
    third = plan(pool(4), *old, pod(4))
    assert names(third) == ["front-0"]
    assert plan(pool(4), *old[1:], pod(4)).create == 1


def test_unready_old_pod_is_deleted_at_once() -> None:
    assert names(plan(pool(2), pod(0, template="old", ready=False))) == ["front-0"]


def test_broken_new_template_stops_the_rollout() -> None:
    old = [pod(n, template="old") for n in range(2)]
    failed = pod(2, live=False, ready=False, problem="Error: exit code 1")
    planned = plan(pool(2), *old, failed, now=T0 + 5)
    assert (planned.create, names(planned)) == (0, [])
    assert reason(planned, ConditionType.PROGRESSING) == ("False", PoolReason.POD_NOT_WARM)
    assert [event.message for event in planned.events] == ["Error: exit code 1"]


def test_failed_pod_is_evidence_until_the_next_try() -> None:
    failed = pod(0, live=False, ready=False)
    planned = plan(pool(2), failed, now=T0 + 1)
    assert (planned.create, names(planned), planned.requeue_after) == (0, [], 5.0)
    assert names(plan(pool(2), failed, now=T0 + RETRY_SECONDS)) == ["front-0"]


def test_single_pod_tries_after_a_failure() -> None:
    assert plan(broken(pool(5))).create == 1
    assert plan(broken(pool(5)), pod(0, ready=False)).create == 0
    assert plan(broken(pool(5)), pod(0)).create == LEAST_WARMING


def test_known_problem_stays_in_view_during_the_next_try() -> None:
    planned = plan(broken(pool(1)), pod(0, ready=False))
    assert reason(planned, ConditionType.PROGRESSING) == ("False", PoolReason.POD_NOT_WARM)
    assert planned.events == ()
    assert reason(plan(broken(pool(1)), pod(0)), ConditionType.PROGRESSING) == ("True", PoolReason.COMPLETE)


def test_pod_without_readiness_is_a_problem() -> None:
    planned = plan(pool(2), pod(0, ready=False), now=T0 + WARM_SECONDS)
    assert planned.create == 0
    assert reason(planned, ConditionType.PROGRESSING) == ("False", PoolReason.POD_NOT_WARM)


def test_unschedulable_pods_are_reported_and_a_single_pod_stays() -> None:
    waiting = [pod(n, ready=False, unschedulable=True, problem="Unschedulable: no memory") for n in range(3)]
    planned = plan(pool(5), *waiting)
    assert planned.create == 0
    assert names(planned) == ["front-1", "front-2"]
    assert reason(planned, ConditionType.SCALING_LIMITED) == ("True", PoolReason.UNSCHEDULABLE)


def test_refused_pod_stops_the_creation() -> None:
    planned = plan(pool(2), refused="QuotaExceeded: exceeded quota")
    assert planned.create == 0
    found = find_condition(planned.status.conditions, ConditionType.PROGRESSING)
    assert found is not None
    assert found.message == "QuotaExceeded: exceeded quota"


def test_pool_without_agent_deletes_pods_and_reports_cause() -> None:
    planned = plan(pool(2), pod(0), pod(1), template="")
    assert (planned.create, sorted(names(planned))) == (0, ["front-0", "front-1"])
    assert reason(planned, ConditionType.READY) == ("False", PoolReason.AGENT_NOT_FOUND)
    assert [event.reason for event in planned.events] == [PoolReason.AGENT_NOT_FOUND]


def test_deleted_pool_neither_creates_nor_deletes() -> None:
    planned = plan(replace(pool(2), deleting=True), pod(0, template="old"))
    assert (planned.create, planned.delete) == (0, ())


def test_claims_are_added_to_the_stored_counts() -> None:
    counted = replace(pool(1), status=PoolStatus(hits=5, misses=1))
    status = plan(counted, pod(0), hits=2, misses=3, claimed=4).status
    assert (status.hits, status.misses, status.claimed) == (7, 4, 4)


PODS = st.lists(
    st.builds(
        PoolPod,
        name=st.integers(0, 99).map("front-{}".format),
        uid=st.uuids().map(str),
        version=st.just("7"),
        template_hash=st.sampled_from(["new", "old"]),
        created_at=st.floats(T0 - 1000, T0),
        live=st.booleans(),
        ready=st.booleans(),
        deleting=st.booleans(),
        problem=st.sampled_from(["", "ErrImagePull: x"]),
        unschedulable=st.booleans(),
    ),
    max_size=12,
)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 50), PODS)
def test_plan_never_takes_capacity_below_the_desired_number(minimum: int, more: int, needed: int, pods: Any) -> None:
    planned = plan(pool(minimum, minimum + more), *pods, needed=needed)
    desired = planned.status.desired
    assert minimum <= desired <= minimum + more
    ready = [found for found in pods if found.live and found.ready and not found.deleting]
    left = [found for found in ready if found not in planned.delete]
    assert len(left) >= min(len(ready), desired)
    assert planned.create >= 0


@given(st.integers(1, 12), st.booleans())
def test_pool_converges_after_a_change_of_the_template(size: int, starts_full: bool) -> None:
    pods = [pod(n, template="old") for n in range(size if starts_full else 0)]
    number = size
    for _ in range(6 * size + 6):
        planned = plan(pool(size), *pods)
        pods = [replace(found, ready=True) for found in pods if found not in planned.delete]
        for _ in range(planned.create):
            number += 1
            pods.append(pod(number, ready=False))
    assert [found.template_hash for found in pods] == ["new"] * size
    assert plan(pool(size), *pods).create == 0


def test_pool_gives_youngest_pods_to_sessions_without_room() -> None:
    pods = [pod(n, created_at=T0 + n) for n in range(4)]
    planned = plan(pool(4), *pods, without_room=1)
    assert (names(planned), planned.create, planned.gives_room) == (["front-3"], 0, True)
    assert reason(planned, ConditionType.SCALING_LIMITED) == ("True", PoolReason.GIVES_ROOM)
    assert [event.reason for event in planned.events if event.reason == PoolReason.GIVES_ROOM]
    assert planned.requeue_after is not None


def test_pods_without_room_do_not_compete_with_sessions() -> None:
    waiting = pod(1, created_at=T0 + 1, ready=False, unschedulable=True, problem="Unschedulable: 0/1 nodes")
    planned = plan(pool(3), pod(0), waiting, without_room=1)
    assert names(planned) == ["front-1", "front-0"]


def test_pool_gives_again_after_a_pause() -> None:
    pods = (pod(0), pod(1))
    early = plan(pool(2), *pods, without_room=2, given_at=T0, now=T0 + GIVE_SECONDS - 1)
    late = plan(pool(2), *pods, without_room=2, given_at=T0, now=T0 + GIVE_SECONDS)
    assert (names(early), early.create, early.gives_room) == ([], 0, False)
    assert names(late) == ["front-1", "front-0"]


def test_pool_fills_again_once_sessions_have_room() -> None:
    planned = plan(pool(2), pod(0), given_at=T0)
    assert (planned.create, planned.delete) == (1, ())
