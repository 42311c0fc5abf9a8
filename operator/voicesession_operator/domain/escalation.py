"""Escalation of an agent that does not come back: its pod is replaced, or the session ends as AgentLost."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.reasons import Cause, ConditionType, EndReason, ResetOutcome
from voicesession_common.api.timestamps import TIMESTAMP_RESOLUTION_SECONDS
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Deadline, Decision, EndOfSession
from voicesession_operator.domain.observed import AgentPod
from voicesession_operator.domain.pods import SessionPods
from voicesession_operator.domain.reset import relapse_at
from voicesession_operator.domain.room import due_at

RESET_SECONDS: Final = 10.0
"""Time limit of a reset, which usually takes 0.3 s; the pod's supervisor gives up after the same time."""
ABSENT_RESET_SECONDS: Final = 15.0
"""Time limit of the reset of an absent agent: 20 s in all, since the reset starts after 5 s of absence."""

AWAY_SECONDS: Final = 30.0
"""Time limit of an agent that tries to rejoin on its own. If its pod cannot reach LiveKit, another pod may."""


def escalations(session: VoiceSession, status: Status, pods: SessionPods) -> tuple[Decision, ...]:
    """Replace the serving pod when its agent is overdue; the next pod counts as a replacement."""
    at = _overdue_at(status, pods)
    if at is None or not _may_replace(session, status):
        return ()
    return (Decision(at, _abandon_serving_pod(status, pods)),)


def agent_lost_after_reset(session: VoiceSession, status: Status, pods: SessionPods) -> tuple[Deadline, ...]:
    """End the session when the agent is overdue and all replacements are used up."""
    at = _overdue_at(status, pods)
    if at is None or _may_replace(session, status):
        return ()
    allowed = session.limits.max_replacements
    message = f"The agent did not start again and maxReplacements ({allowed}) is used up"
    return (Deadline(at, EndOfSession(EndReason.AGENT_LOST, message)),)


def _may_replace(session: VoiceSession, status: Status) -> bool:
    """Return True if a replacement is left; during a recycle the successor is the replacement."""
    return bool(status.next_pod) or status.replacements < session.limits.max_replacements


def _overdue_at(status: Status, pods: SessionPods) -> float | None:
    if pods.serving is None:
        return None
    if status.is_resetting:
        return _reset_overdue_at(status, pods.serving)
    times = (relapse_at(status), _away_at(status, pods.serving))
    return min((at for at in times if at is not None), default=None)


def _away_at(status: Status, pod: AgentPod) -> float | None:
    """Return the time limit of the agent's rejoin; a pod created after the loss is starting and has startSeconds."""
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if status.ready_at is None or joined is None or joined.status != "False":
        return None
    return due_at(status, joined.since, AWAY_SECONDS) if _predates_loss(pod, joined) else None


def _predates_loss(pod: AgentPod, joined: Condition) -> bool:
    """Return True if the pod existed when its agent left the room."""
    return pod.created_at + TIMESTAMP_RESOLUTION_SECONDS <= joined.since


def _reset_overdue_at(status: Status, pod: AgentPod) -> float | None:
    """Return the time limit of the running reset.

    If the agent left before the reset, the later of its two limits applies, and no limit if its pod is only starting.
    """
    last, joined = status.last_reset, find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if last is None or joined is None:
        return None
    if last.cause == Cause.AGENT_ABSENT:
        return due_at(status, last.started_at, ABSENT_RESET_SECONDS)
    due = due_at(status, last.started_at, RESET_SECONDS)
    if joined.since >= last.started_at:
        return due
    away = _away_at(status, pod)
    return None if due is None or away is None else max(due, away)


def _abandon_serving_pod(status: Status, pods: SessionPods) -> Status:
    last = status.last_reset
    if last is not None and status.is_resetting:
        last = replace(last, outcome=ResetOutcome.ESCALATED)
    abandoned = replace(
        status,
        last_reset=last,
        agent_pod=pods.successor.name if pods.successor else "",
        next_pod="",
        replacements=status.replacements + int(not status.next_pod),
    )
    return replace(abandoned, agent_epoch=abandoned.desired_epoch)
