"""The agent pods of a session: their roles, their creation, deletion and replacement."""

from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Final

from voicesession_common.api.conditions import find_condition
from voicesession_common.api.reasons import ConditionType, EndReason, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import CreatePod, Deadline, Decision, DeletePod, EndOfSession
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import AgentPod, Config, Observed
from voicesession_operator.domain.pod_manifest import build_pod
from voicesession_operator.domain.room import TRIAL_SECONDS, due_at


@dataclass(frozen=True)
class SessionPods:
    """The session's pods by role. Ordinals count pods from 0: each replacement and each recycle adds one."""

    serving: AgentPod | None
    """The pod that serves, or will serve after its start."""
    successor: AgentPod | None
    """During a recycle: the newer pod, which takes over once its agent is in the room."""
    surplus: tuple[AgentPod, ...]
    """All other pods: ended, terminating, abandoned, and live pods created by an earlier leader.

    A failed successor is not surplus until its replacement is due; its creation time determines the backoff.
    """
    newest: AgentPod | None
    """The pod with the highest ordinal that is not abandoned, live or not."""
    highest_ordinal: int
    """The highest ordinal ever seen; -1 before the first pod."""


def classify_pods(session: VoiceSession, observed: Observed) -> SessionPods:
    """Assign roles to the pods. The highest ordinal serves; in a recycle, only once its agent is in the room."""
    status = session.status
    lowest = status.newest_ordinal
    valid = [pod for pod in observed.pods if pod.ordinal >= lowest]
    # Two pods can have one ordinal if an earlier leader did not see its own claim; the recorded one stays.
    rank = partial(_rank, (status.agent_pod, status.next_pod))
    newest_live = max((pod for pod in valid if pod.live), key=rank, default=None)
    recorded = next((pod for pod in observed.pods if pod.live and pod.name == status.agent_pod), None)
    serving, successor = _roles(status, observed, newest_live, recorded)
    newest = max(valid, key=rank, default=None)
    kept = [serving, successor, newest if status.next_pod else None]
    # The stored status is the only trace of a pod that has vanished.
    known = lowest if _recorded_ordinal(session) == lowest else lowest - 1
    return SessionPods(
        serving=serving,
        successor=successor,
        surplus=tuple(pod for pod in observed.pods if pod not in kept),
        newest=newest,
        highest_ordinal=max([known, *(pod.ordinal for pod in observed.pods)]),
    )


def _roles(
    status: Status, observed: Observed, newest: AgentPod | None, recorded: AgentPod | None
) -> tuple[AgentPod | None, AgentPod | None]:
    """Return serving pod and successor; `recorded` is the serving pod of the stored status."""
    if newest is None or recorded is None or recorded is newest:
        return newest or recorded, None
    if status.next_pod and not observed.agent_in_room(newest, status.agent_identity):
        return recorded, newest
    return newest, None


def highest_allowed_ordinal(session: VoiceSession) -> int:
    """Return the highest ordinal that a pod of this session can have.

    A pod can be ahead of the stored status by all replacements of an hour. Each recycle is stored before its pod is
    created. One more is allowed, because maxReplacements may have been lowered since.
    """
    return session.status.newest_ordinal + max(session.limits.max_replacements, 0) + 1


def delete_pods(pods: tuple[AgentPod, ...]) -> tuple[DeletePod, ...]:
    """Delete the pods, except those that are already terminating.

    Each has its own grace period for the agent's shutdown callbacks; the agent leaves the room at its start.
    """
    return tuple(DeletePod(pod.name, pod.uid) for pod in pods if not pod.deleting)


def _rank(recorded: tuple[str, str], pod: AgentPod) -> tuple[int, bool, str]:
    return pod.ordinal, pod.name in recorded, pod.name


def _recorded_ordinal(session: VoiceSession) -> int | None:
    """Return the ordinal of the pod in the stored status; an earlier operator stored only its name."""
    status = session.status
    if status.pod_ordinal is not None or not status.agent_pod:
        return status.pod_ordinal
    lowest = status.newest_ordinal
    return lowest if status.agent_pod == pod_name(session.name, session.uid, lowest) else None


CLAIMED_START_SECONDS: Final = 1.0
"""Time in which the agent of a claimed pod usually joins; a model that loads beside it delays this."""


def claimed_at(session: VoiceSession, pod: AgentPod | None) -> float | None:
    """Return the time at which the session claimed the pod; None for a pod that was created for it."""
    if pod is None or pod.name == pod_name(session.name, session.uid, pod.ordinal):
        return None
    return pod.created_at


def short_start_ends_at(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods) -> float | None:
    """Return the time until which the first status waits for Ready, so that a warm start needs one write.

    None if it does not wait: the session has a status, is Ready, starts cold, or has a failure to report.
    """
    is_first = session.status.started_at is None and status.ready_at is None and not observed.failures
    at = claimed_at(session, pods.serving) if is_first else None
    return None if at is None else at + CLAIMED_START_SECONDS


STEADY_SECONDS: Final = 10.0
"""An agent that was in the room for this long did not fail at its start, so its replacement need not wait."""
MAX_DOUBLINGS: Final = 6
"""The backoff stops growing at 2^6 = 64 s."""


def backoff_seconds(lost: int) -> float:
    """Return the delay before the next pod after `lost` lost pods: 2, 4, 8 … seconds."""
    return 2.0 ** min(lost, MAX_DOUBLINGS)


REPLACEMENT_WINDOW_SECONDS: Final = 3600.0
"""Replacements older than this no longer count, so that a session of days survives one drained node after another."""
MAX_REPLACEMENTS: Final = 100
"""Largest `maxReplacements` that the CRD allows; older times are never needed."""


def count_replacements(status: Status, replacements: int, now: float) -> Status:
    """Return the status with this number of replacements; the added ones happened at `now`."""
    added = replacements - status.replacements
    if added <= 0:
        return status
    times = (*_replacement_times(status, now), *[now] * added)
    recent = tuple(at for at in times if now - at < REPLACEMENT_WINDOW_SECONDS)
    return replace(status, replacements=replacements, replaced_at=recent[-MAX_REPLACEMENTS:])


def recent_replacements(status: Status, now: float) -> int:
    """Return the number of replacements that count against maxReplacements."""
    return sum(now - at < REPLACEMENT_WINDOW_SECONDS for at in _replacement_times(status, now))


def _replacement_times(status: Status, now: float) -> tuple[float, ...]:
    """Return the known times; those in the status of an earlier operator are unknown and count as `now`."""
    return status.replaced_at if status.replaced_at is not None else (now,) * status.replacements


def may_replace(session: VoiceSession, status: Status, now: float) -> bool:
    """Return True if a replacement is left; during a recycle the successor is the replacement."""
    return bool(status.next_pod) or recent_replacements(status, now) < session.limits.max_replacements


def _created_replacements(status: Status, pods: SessionPods, now: float) -> int:
    """Return the number of recent replacements whose pods exist or existed, counted in the status or not yet."""
    uncounted = pods.highest_ordinal - status.newest_ordinal
    return recent_replacements(status, now) + uncounted


LAST_PROBLEM: Final = "; the last try failed: "
"""Separates the problem of an earlier job or pod in a message of AgentJoined."""


def last_problem(status: Status) -> str:
    """Return the last problem that a pod has reported since its agent was in the room, or an empty string."""
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if joined is None or joined.status == "True":
        return ""
    if joined.reason in (Reason.AGENT_ERROR, Reason.AGENT_INVALID):
        return joined.message
    return joined.message.partition(LAST_PROBLEM)[2]


def with_last_problem(message: str, status: Status) -> str:
    """Return the message, followed by the last problem, if there is one."""
    problem = last_problem(status)
    return f"{message}{LAST_PROBLEM}{problem}" if problem else message


def agent_lost(session: VoiceSession, status: Status, pods: SessionPods, now: float) -> tuple[Deadline, ...]:
    """End the session if its pod is gone and all replacements of the last hour are used up."""
    allowed = session.limits.max_replacements
    if pods.serving is not None or _created_replacements(status, pods, now) < max(allowed, 0):
        return ()
    message = with_last_problem(f"The agent's pod ended and maxReplacements ({allowed}) is used up", status)
    return (Deadline(-inf, EndOfSession(EndReason.AGENT_LOST, message)),)


def replacement_due_at(status: Status, pods: SessionPods, now: float) -> float:
    """Return the time (Unix seconds) of the next pod: immediately for the first two, then 2, 4, 8 … s after the loss.

    `status` is the stored status, which still has the time that the lost agent was in the room.
    """
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    used = _created_replacements(status, pods, now)
    if used < 1 or joined is None:
        return now
    if joined.status == "True" and now - joined.since >= STEADY_SECONDS:
        return now
    return joined.since + backoff_seconds(used)


def pod_actions(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float, config: Config
) -> tuple[CreatePod | DeletePod, ...]:
    """Create the missing pod when it is due and delete surplus pods, so that one is live, or two during a recycle."""
    deletions = delete_pods(pods.surplus)
    # An abandoned live pod must terminate before the next pod is created.
    is_waiting = any(pod.live for pod in pods.surplus)
    if is_waiting or observed.agent is None or not _is_pod_missing(session, status, pods, now):
        return deletions
    manifest = build_pod(session, observed.agent, pods.highest_ordinal + 1, config)
    return (CreatePod(manifest), *deletions)


def _is_pod_missing(session: VoiceSession, status: Status, pods: SessionPods, now: float) -> bool:
    if pods.serving is not None:
        return bool(status.next_pod) and pods.successor is None and pods.newest is None
    return now >= replacement_due_at(session.status, pods, now)


def replace_failed_successor(
    session: VoiceSession, status: Status, pods: SessionPods, now: float
) -> tuple[Decision, ...]:
    """Replace a successor that has ended or is not in the room within startSeconds; the old pod keeps serving.

    Without a replacement left, a failed successor ends the recycle.
    """
    if not status.next_pod:
        return ()
    is_left = recent_replacements(status, now) < session.limits.max_replacements
    if pods.successor is not None:
        seconds = session.limits.start_seconds
        at = due_at(status, pods.successor.created_at, seconds)
        if at is None or not is_left:
            return ()
        return (Decision(at, _with_next_successor(session, status, now), min(seconds, TRIAL_SECONDS)),)
    if pods.newest is None:
        return ()
    ended = _with_next_successor(session, status, now) if is_left else replace(status, next_pod="")
    return (Decision(_successor_due_at(status, pods.newest, now), ended),)


def _with_next_successor(session: VoiceSession, status: Status, now: float) -> Status:
    counted = count_replacements(status, status.replacements + 1, now)
    name = pod_name(session.name, session.uid, counted.newest_ordinal)
    return replace(counted, next_pod=name, agent_epoch=counted.desired_epoch)


def _successor_due_at(status: Status, failed: AgentPod, now: float) -> float:
    """Return the time of the next successor: immediately, then 2, 4, 8 … s after the creation of the failed one."""
    used = recent_replacements(status, now)
    if failed.deleting or used < 1:
        return -inf
    return failed.created_at + backoff_seconds(used)
