"""The plan of a VoicePool: a pure function of the pool, its pods, its desired size and the time."""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Final

from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition, find_condition, is_condition_false, set_condition
from voicesession_common.api.reasons import ConditionType, PoolReason
from voicesession_common.api.voicepool import PoolStatus, VoicePool

from voicesession_operator.domain.actions import Event

SURGE_SHARE: Final = 0.25
"""Pods above the desired number during a rollout, as in a Deployment; at least one."""
LEAST_WARMING: Final = 4
"""Pods that may start at a time in a small pool: each loads models, beside calls on the same nodes."""
RETRY_SECONDS: Final = 30.0
"""Time from the creation of a failed pod until the next try. Until then the failed pod stays, as evidence."""
WARM_SECONDS: Final = 300.0
"""Time for a pod to get warm, the pull of its image included; a pod that needs more counts as a problem."""
PROBLEM_POLL_SECONDS: Final = 5.0
GIVE_SECONDS: Final = 15.0
"""Time between two deletions for sessions without room: a pod ends, and the scheduler tries again."""


@dataclass(frozen=True)
class PoolPod:
    """A pod of the pool that no session has claimed."""

    name: str
    uid: str
    version: str
    """The resourceVersion that was seen: a pod that a session claims meanwhile is not deleted."""
    template_hash: str
    created_at: float
    live: bool
    """It has neither ended nor been deleted."""
    ready: bool = False
    """Its models are loaded, and a process waits for a job."""
    deleting: bool = False
    problem: str = ""
    """The reason why it cannot start or prepare; empty if there is none."""
    unschedulable: bool = False


@dataclass(frozen=True)
class ObservedPool:
    """The observations that the plan depends on."""

    template_hash: str
    """Hash of the spec of a new pod; empty without the VoiceAgent."""
    pods: tuple[PoolPod, ...]
    needed: int
    """The number of pods that the arrivals need, before the limits of the pool."""
    claimed: int = 0
    hits: int = 0
    misses: int = 0
    arrivals_per_minute: int = 0
    refill_seconds: int = 0
    without_room: int = 0
    """Number of sessions in the namespace with a pod that waits for room on a node."""
    given_at: float = -inf
    """Time when the pool last deleted pods for such sessions."""
    refused: str = ""
    """The API server's reason and message for the last refused pod; empty after an accepted one."""


@dataclass(frozen=True)
class PoolPlan:
    """The new status, and the actions that follow from it."""

    status: PoolStatus
    create: int = 0
    """Number of pods to create."""
    delete: tuple[PoolPod, ...] = ()
    gives_room: bool = False
    """Some of the deleted pods leave their room to sessions."""
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    """Seconds until time alone changes the plan."""


@dataclass(frozen=True)
class _Sorted:
    """The pods by their state; the oldest first."""

    warm: tuple[PoolPod, ...]
    warming: tuple[PoolPod, ...]
    stale: tuple[PoolPod, ...]
    """Live pods of an earlier template."""
    failed: tuple[PoolPod, ...]
    """Ended pods of the current template."""
    over: tuple[PoolPod, ...]
    """Ended pods of an earlier template."""


def plan_pool(pool: VoicePool, observed: ObservedPool, now: float) -> PoolPlan:
    """Return the plan for `now` (Unix seconds). Total, and safe to execute twice."""
    desired = desired_replicas(pool, observed) if observed.template_hash else 0
    pods = _sort(observed)
    problem = _problem(pods, observed, now)
    create = 0 if pool.deleting or observed.without_room else _missing(pool, pods, desired, problem, now)
    given = _given_up(observed, pods, now)
    delete = () if pool.deleting else _unique((*given, *_expired(pods, now), *_surplus(pods, desired)))
    status = _status(pool, observed, pods, desired)
    status = replace(status, conditions=_conditions(pool, observed, pods, status, problem, now))
    events = _events(pool.status, status)
    waits = [_requeue_after(pods, problem, now), PROBLEM_POLL_SECONDS if observed.without_room else None]
    requeue_after = min((seconds for seconds in waits if seconds is not None), default=None)
    return PoolPlan(status, create, delete, bool(given), events, requeue_after)


def desired_replicas(pool: VoicePool, observed: ObservedPool) -> int:
    """Return the desired number of warm pods, from `warm.min` to `warm.max`."""
    return min(max(observed.needed, pool.minimum), pool.maximum)


def _sort(observed: ObservedPool) -> _Sorted:
    pods = sorted((pod for pod in observed.pods if not pod.deleting), key=lambda pod: (pod.created_at, pod.name))
    current = [pod for pod in pods if pod.template_hash == observed.template_hash]
    other = [pod for pod in pods if pod.template_hash != observed.template_hash]
    return _Sorted(
        warm=tuple(pod for pod in current if pod.live and pod.ready),
        warming=tuple(pod for pod in current if pod.live and not pod.ready),
        stale=tuple(pod for pod in other if pod.live),
        failed=tuple(pod for pod in current if not pod.live),
        over=tuple(pod for pod in other if not pod.live),
    )


def _problem(pods: _Sorted, observed: ObservedPool, now: float) -> str:
    """Return the problem of the newest pod that does not get warm, or of a refused one; empty if there is none."""
    late = (_late(pod, now) for pod in reversed(pods.warming))
    found = [pod.problem or "the pod ended" for pod in reversed(pods.failed)]
    found += [problem for problem in late if problem]
    return next(iter(found), observed.refused)


def _late(pod: PoolPod, now: float) -> str:
    if pod.problem or now - pod.created_at < WARM_SECONDS:
        return pod.problem
    return f"the pod is not ready after {WARM_SECONDS:.0f} s"


def _missing(pool: VoicePool, pods: _Sorted, desired: int, problem: str, now: float) -> int:
    """Return the number of pods to create now.

    A problem stops the creation. After it, one pod tries alone until it is warm.
    """
    if problem:
        return 0
    warming, live = len(pods.warming), len(pods.warm) + len(pods.warming)
    most = max(LEAST_WARMING, ceil(desired * SURGE_SHARE)) - warming
    if is_condition_false(pool.status.conditions, ConditionType.PROGRESSING) and not pods.warm:
        most = 1 - warming
    surge = max(1, ceil(desired * SURGE_SHARE))
    room = desired + surge - live - len(pods.stale)
    return max(min(desired - live, room, most), 0)


def _expired(pods: _Sorted, now: float) -> tuple[PoolPod, ...]:
    """Return the ended pods that are no longer needed as evidence."""
    return (*pods.over, *(pod for pod in pods.failed if now - pod.created_at >= RETRY_SECONDS))


def _surplus(pods: _Sorted, desired: int) -> tuple[PoolPod, ...]:
    """Return the live pods that are too many: those of an earlier template only as far as others are warm.

    Without room in the cluster one pod keeps asking for it, so that a cluster autoscaler can see the need.
    """
    waiting = [pod for pod in pods.warming if pod.unschedulable]
    starting = [pod for pod in pods.warming if pod not in waiting]
    kept = (*pods.warm, *starting, *waiting[:1])
    unready = tuple(pod for pod in pods.stale if not pod.ready)
    ready = tuple(pod for pod in pods.stale if pod.ready)
    spare = max(len(pods.warm) + len(ready) - desired, 0)
    return (*kept[desired:], *waiting[1:], *unready, *ready[:spare])


def _given_up(observed: ObservedPool, pods: _Sorted, now: float) -> tuple[PoolPod, ...]:
    """Return the pods that leave their room to sessions: a call is worth more than a warm pod.

    Pods that wait for room themselves compete with the sessions, so all of them go. Of the others, the youngest go
    first, one for each session.
    """
    if not observed.without_room or now - observed.given_at < GIVE_SECONDS:
        return ()
    youngest_first = (*reversed(pods.stale), *reversed(pods.warming), *reversed(pods.warm))
    waiting = tuple(pod for pod in youngest_first if pod.unschedulable)
    placed = tuple(pod for pod in youngest_first if not pod.unschedulable)
    return (*waiting, *placed[: observed.without_room])


def _unique(pods: tuple[PoolPod, ...]) -> tuple[PoolPod, ...]:
    return tuple({pod.uid: pod for pod in pods}.values())


def _status(pool: VoicePool, observed: ObservedPool, pods: _Sorted, desired: int) -> PoolStatus:
    return replace(
        pool.status,
        observed_generation=pool.generation,
        desired=desired,
        replicas=sum(pod.live for pod in observed.pods),
        warm=len(pods.warm),
        warming=len(pods.warming),
        stale=len(pods.stale),
        claimed=observed.claimed,
        hits=pool.status.hits + observed.hits,
        misses=pool.status.misses + observed.misses,
        arrivals_per_minute=observed.arrivals_per_minute,
        refill_seconds=observed.refill_seconds,
        selector=f"{constants.POOL_LABEL}={pool.name},!{constants.SESSION_UID_LABEL}",
    )


def _conditions(
    pool: VoicePool, observed: ObservedPool, pods: _Sorted, status: PoolStatus, problem: str, now: float
) -> tuple[Condition, ...]:
    conditions = pool.status.conditions
    for condition in (
        _ready(pool, observed, status),
        _progressing(pool, observed, pods, status, problem),
        _scaling_limited(pool, observed, pods, status),
    ):
        conditions = set_condition(conditions, condition, now)
    return conditions


def _not_found(kind: ConditionType, pool: VoicePool) -> Condition:
    message = f'VoiceAgent "{pool.agent_ref}" not found in namespace "{pool.namespace}"'
    return Condition(kind, "False", PoolReason.AGENT_NOT_FOUND, message)


def _ready(pool: VoicePool, observed: ObservedPool, status: PoolStatus) -> Condition:
    if not observed.template_hash:
        return _not_found(ConditionType.READY, pool)
    is_ready = status.warm >= pool.minimum
    reason = PoolReason.WARM if is_ready else PoolReason.WARMING
    return Condition(ConditionType.READY, str(is_ready), reason, f"warm.min is {pool.minimum}")


def _progressing(pool: VoicePool, observed: ObservedPool, pods: _Sorted, status: PoolStatus, problem: str) -> Condition:
    kind = ConditionType.PROGRESSING
    if not observed.template_hash:
        return _not_found(kind, pool)
    stored = find_condition(pool.status.conditions, kind)
    if problem:
        return Condition(kind, "False", PoolReason.POD_NOT_WARM, problem)
    if stored is not None and stored.status == "False" and not pods.warm:
        # The next try is not over, so the known problem stays in view.
        is_known = stored.reason == PoolReason.POD_NOT_WARM
        return stored if is_known else Condition(kind, "True", PoolReason.WARMING, "Pods are starting")
    if pods.stale:
        return Condition(kind, "True", PoolReason.ROLLING_OUT, "Pods of an earlier template are being replaced")
    if status.warm == status.desired and not pods.warming:
        return Condition(kind, "True", PoolReason.COMPLETE, "All pods are warm")
    return Condition(kind, "True", PoolReason.WARMING, "Pods are starting")


def _scaling_limited(pool: VoicePool, observed: ObservedPool, pods: _Sorted, status: PoolStatus) -> Condition:
    kind = ConditionType.SCALING_LIMITED
    if observed.without_room:
        message = f"The pool makes room for sessions whose pods fit on no node: {observed.without_room}"
        return Condition(kind, "True", PoolReason.GIVES_ROOM, message)
    blocked = next((pod for pod in pods.warming if pod.unschedulable), None)
    if blocked is not None:
        return Condition(kind, "True", PoolReason.UNSCHEDULABLE, blocked.problem)
    needed = f"The arrivals need {observed.needed}"
    if observed.needed > pool.maximum:
        return Condition(kind, "True", PoolReason.TOO_MANY_REPLICAS, f"{needed}, warm.max is {pool.maximum}")
    if observed.needed < pool.minimum:
        return Condition(kind, "True", PoolReason.TOO_FEW_REPLICAS, f"{needed}, warm.min is {pool.minimum}")
    return Condition(kind, "False", PoolReason.DESIRED_WITHIN_RANGE, "The pool may have as many pods as it needs")


def _events(old: PoolStatus, new: PoolStatus) -> tuple[Event, ...]:
    """Return a warning for each new problem."""
    changed = [(find_condition(old.conditions, after.type), after) for after in new.conditions if _is_problem(after)]
    return tuple(
        Event("Warning", str(after.reason), after.message)
        for before, after in changed
        if before is None or before.reason != after.reason
    )


def _is_problem(condition: Condition) -> bool:
    is_stopped = condition.type == ConditionType.PROGRESSING and condition.status == "False"
    return is_stopped or condition.reason in (PoolReason.UNSCHEDULABLE, PoolReason.GIVES_ROOM)


def _requeue_after(pods: _Sorted, problem: str, now: float) -> float | None:
    waits = [max(pod.created_at + RETRY_SECONDS - now, 0.0) for pod in pods.failed]
    if pods.warming or problem:
        waits.append(PROBLEM_POLL_SECONDS)
    return min(waits, default=None)
