"""Handover of a conversation: a pod that ends stays in the room until the agent of its replacement has joined.

A drain, an eviction and a deletion end a pod this way. The replacement gets the conversation of the ending pod.
"""

from typing import Final

from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.observed import AgentPod, AgentPodState, Observed, Room
from voicesession_operator.domain.pods import SessionPods

HANDING_OVER: Final = Condition(
    ConditionType.AGENT_JOINED,
    "True",
    Reason.HANDING_OVER,
    "The agent is in the room; its pod is ending, and another one takes over",
)


def is_own_agent_joined(status: Status) -> bool:
    """Return True if AgentJoined is True by the serving pod's own agent."""
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    return joined is not None and joined.status == "True" and joined.reason != Reason.HANDING_OVER


def ending_pod(observed: Observed, pods: SessionPods) -> AgentPod | None:
    """Return the newest pod before the serving one that was deleted and may still run, or None."""
    limit = pods.serving.ordinal if pods.serving else pods.highest_ordinal + 1
    ending = (pod for pod in observed.pods if pod.deleting and pod.ip and pod.phase == "Running")
    return max((pod for pod in ending if pod.ordinal < limit), key=lambda pod: pod.ordinal, default=None)


def is_handing_over(stored: Status, observed: Observed, pods: SessionPods) -> bool:
    """Return True while the agent that was in the room is still listed, although its pod is ending.

    `stored` is the status of the last reconcile.
    """
    joined = find_condition(stored.conditions, ConditionType.AGENT_JOINED)
    if joined is None or joined.status == "False" or not isinstance(observed.room, Room):
        return False
    ending = ending_pod(observed, pods)
    if ending is None or not (stored.agent_pod == ending.name or joined.reason == Reason.HANDING_OVER):
        return False
    return any(participant.identity == stored.agent_identity for participant in observed.room.participants)


def continued_pod(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, state: AgentPodState
) -> AgentPod | None:
    """Return the ending pod that a replacement in this state continues; None after a reset and without humans.

    Only a replacement that is not bound yet can continue a conversation.
    """
    is_continued = state.session_uid != session.uid and status.humans > 0 and not status.is_resetting
    return ending_pod(observed, pods) if is_continued and not status.next_pod else None
