"""The session's agent pods, sorted into what the decisions are about."""

from dataclasses import dataclass, replace
from math import inf
from typing import Final

from voicesession_common.api.conditions import find_condition
from voicesession_common.api.reasons import ConditionType, EndReason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import CreatePod, Deadline, Decision, DeletePod, EndOfSession
from voicesession_operator.domain.config import Config
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import AgentPod, Observed
from voicesession_operator.domain.pod_manifest import build_pod
from voicesession_operator.domain.room import due_at

POD_DELETE_GRACE_SECONDS: Final = 5
"""Lets the agent leave the room politely (0.7 s) without keeping a broken one for long."""


@dataclass(frozen=True)
class SessionPods:
    """Ordinals count pods from 0: one more for each replacement and for each recycle."""

    serving: AgentPod | None
    """The pod that serves, or will."""
    successor: AgentPod | None
    """During a recycle: the newer pod that takes over once its agent is in the room."""
    surplus: tuple[AgentPod, ...]
    """All others: ended ones, those on their way out, those given up, and live ones that an older leader made.

    A recycle's pod that ended stays until the next one may be made: it tells when that is.
    """
    newest: AgentPod | None
    """The pod with the highest ordinal that is not given up, live or not."""
    highest_ordinal: int
    """Of all pods that were ever seen; -1: there never was one."""


def classify_pods(session: VoiceSession, observed: Observed) -> SessionPods:
    """The highest ordinal wins, at once or, in a recycle, when its agent is in the room."""
    status = session.status
    wanted = status.newest_ordinal
    valid = [pod for pod in observed.pods if pod.ordinal >= wanted]
    newest_live = max((pod for pod in valid if pod.live), key=_ordinal, default=None)
    serving = next((pod for pod in observed.pods if pod.live and pod.name == status.agent_pod), None)
    current, coming = _roles(status, observed, newest_live, serving)
    newest = max(valid, key=_ordinal, default=None)
    kept = [current, coming, newest if status.next_pod else None]
    # The stored status remembers pods that have vanished.
    known = wanted if status.agent_pod == pod_name(session.name, session.uid, wanted) else wanted - 1
    return SessionPods(
        serving=current,
        successor=coming,
        surplus=tuple(pod for pod in observed.pods if pod not in kept),
        newest=newest,
        highest_ordinal=max([known, *(pod.ordinal for pod in observed.pods)]),
    )


def _roles(
    status: Status, observed: Observed, newest: AgentPod | None, serving: AgentPod | None
) -> tuple[AgentPod | None, AgentPod | None]:
    if newest is None or serving is None or serving is newest:
        return newest or serving, None
    if status.next_pod and not observed.agent_in_room(newest):
        return serving, newest
    return newest, None


def delete_pods(pods: tuple[AgentPod, ...]) -> tuple[DeletePod, ...]:
    """Ask for each of these pods to go, unless it is going already."""
    return tuple(DeletePod(pod.name, pod.uid, POD_DELETE_GRACE_SECONDS) for pod in pods if not pod.deleting)


def _ordinal(pod: AgentPod) -> int:
    return pod.ordinal


STEADY_SECONDS: Final = 10.0
"""An agent that was in the room this long did not die of starting: its replacement need not wait."""
LONGEST_DOUBLING: Final = 6
"""Backoff stops growing at 2^6 = 64 s."""


def backoff(lost: int) -> float:
    """Seconds before the next pod once `lost` of them are gone: 2, 4, 8 …"""
    return 2.0 ** min(lost, LONGEST_DOUBLING)


def agent_lost(session: VoiceSession, pods: SessionPods) -> tuple[Deadline, ...]:
    """The pod is gone and every replacement is used up."""
    allowed = session.limits.max_replacements
    used = pods.highest_ordinal - session.status.recycles
    if pods.serving is not None or used < max(allowed, 0):
        return ()
    message = f"The agent's pod ended and maxReplacements ({allowed}) is used up"
    return (Deadline(-inf, EndOfSession(EndReason.AGENT_LOST, message)),)


def replacement_due(status: Status, pods: SessionPods, now: float) -> float:
    """When the next pod may be made (Unix seconds): the first two at once, then 2, 4, 8 … s after the agent was lost.

    `status` is the stored one: it still says how long the agent that has just been lost was in the room.
    """
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    used = pods.highest_ordinal - status.recycles
    if used < 1 or joined is None:
        return now
    if joined.status == "True" and now - joined.since >= STEADY_SECONDS:
        return now
    return joined.since + backoff(used)


def pod_actions(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float, config: Config
) -> tuple[CreatePod | DeletePod, ...]:
    """Exactly one live pod, two during a recycle: create the missing one when its time has come, delete all others."""
    deletions = delete_pods(pods.surplus)
    # A live pod that is given up is on its way out before another one is made.
    given_up = any(pod.live for pod in pods.surplus)
    if given_up or observed.agent is None or not _is_missing(session, status, pods, now):
        return deletions
    manifest = build_pod(session, observed.agent, pods.highest_ordinal + 1, config)
    return (CreatePod(manifest), *deletions)


def _is_missing(session: VoiceSession, status: Status, pods: SessionPods, now: float) -> bool:
    if pods.serving is not None:
        return bool(status.next_pod) and pods.successor is None and pods.newest is None
    return now >= replacement_due(session.status, pods, now)


def replace_failed_successor(session: VoiceSession, status: Status, pods: SessionPods) -> tuple[Decision, ...]:
    """The coming pod ended, or is not in the room within startSeconds; meanwhile the old one serves."""
    if not status.next_pod:
        return ()
    may_replace = status.replacements < session.limits.max_replacements
    if pods.successor is not None:
        at = due_at(status, pods.successor.created_at, session.limits.start_seconds)
        return (Decision(at, _next(session, status)),) if at is not None and may_replace else ()
    if pods.newest is None:
        return ()
    ended = _next(session, status) if may_replace else replace(status, next_pod="")
    return (Decision(_not_before(status, pods.newest), ended),)


def _next(session: VoiceSession, status: Status) -> Status:
    counted = replace(status, replacements=status.replacements + 1)
    name = pod_name(session.name, session.uid, counted.newest_ordinal)
    return replace(counted, next_pod=name, agent_epoch=counted.desired_epoch)


def _not_before(status: Status, ended: AgentPod) -> float:
    """The next one at once, then 2, 4, 8 … s after the one that ended was made; it is kept until then to tell when."""
    if ended.deleting or status.replacements < 1:
        return -inf
    return ended.created_at + backoff(status.replacements)
