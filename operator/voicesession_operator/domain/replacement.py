"""One agent pod per session: the first one, and those that take over when it is lost or recycled."""

from math import inf
from typing import Final

from voicesession_operator.api.conditions import find
from voicesession_operator.api.reasons import ConditionType, EndReason
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.actions import CreatePod, DeletePod
from voicesession_operator.domain.children import Children, delete_pods
from voicesession_operator.domain.observed import Observed
from voicesession_operator.domain.pod import build_pod
from voicesession_operator.domain.policy import Policy
from voicesession_operator.domain.verdict import Deadline, Verdict

STEADY_SECONDS: Final = 10.0
"""An agent that was in the room this long did not die of starting: its replacement need not wait."""
LONGEST_DOUBLING: Final = 6
"""Backoff stops growing at 2^6 = 64 s."""


def backoff(lost: int) -> float:
    """Seconds before the next pod once `lost` of them are gone: 2, 4, 8 …"""
    return 2.0 ** min(lost, LONGEST_DOUBLING)


def agent_lost(session: VoiceSession, children: Children) -> tuple[Deadline, ...]:
    """The pod is gone and every replacement is used up."""
    allowed = session.limits.max_replacements
    used = children.newest_ordinal - session.status.recycles
    if children.current is not None or used < max(allowed, 0):
        return ()
    message = f"The agent's pod ended and maxReplacements ({allowed}) is used up"
    return (Deadline(-inf, Verdict(EndReason.AGENT_LOST, message)),)


def replacement_due(status: Status, children: Children, now: float) -> float:
    """When the next pod may be made (Unix seconds): the first two at once, then 2, 4, 8 … s after the agent was lost.

    `status` is the stored one: it still says how long the agent that has just been lost was in the room.
    """
    joined = find(status.conditions, ConditionType.AGENT_JOINED)
    used = children.newest_ordinal - status.recycles
    if used < 1 or joined is None:
        return now
    if joined.status == "True" and now - joined.since >= STEADY_SECONDS:
        return now
    return joined.since + backoff(used)


def want_pods(
    session: VoiceSession, status: Status, observed: Observed, children: Children, now: float, policy: Policy
) -> tuple[CreatePod | DeletePod, ...]:
    """Exactly one live pod, two during a recycle: create the missing one when its time has come, delete all others."""
    deletions = delete_pods(children.surplus)
    # A live pod that is given up is on its way out before another one is made.
    given_up = any(pod.live for pod in children.surplus)
    if given_up or observed.agent is None or not _is_missing(session, status, children, now):
        return deletions
    manifest = build_pod(session, observed.agent, children.newest_ordinal + 1, policy)
    return (CreatePod(manifest), *deletions)


def _is_missing(session: VoiceSession, status: Status, children: Children, now: float) -> bool:
    if children.current is not None:
        return bool(status.next_pod) and children.coming is None and children.newest is None
    return now >= replacement_due(session.status, children, now)
