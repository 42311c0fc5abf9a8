"""When a reset does not help: the pod is given up for another one, or the session ends with its agent lost."""

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
"""For a reset: 0.3 s as a rule; the pod's own supervisor gives up after this time, too."""
ABSENT_RESET_SECONDS: Final = 15.0
"""For the reset of an agent that was missing from the room: 20 s in all, since 5 s passed before it."""

AWAY_SECONDS: Final = 30.0
"""For an agent that is out and tries to come back by itself: where its pod cannot reach LiveKit, another may."""


def escalations(session: VoiceSession, status: Status, pods: SessionPods) -> tuple[Decision, ...]:
    """The serving pod is given up; the one that takes its place counts as a replacement."""
    at = _overdue_at(status, pods)
    if at is None or not _may_replace(session, status):
        return ()
    return (Decision(at, _give_up(status, pods)),)


def agent_lost_after_reset(session: VoiceSession, status: Status, pods: SessionPods) -> tuple[Deadline, ...]:
    """The serving pod had to be given up, and every replacement is used up."""
    at = _overdue_at(status, pods)
    if at is None or _may_replace(session, status):
        return ()
    allowed = session.limits.max_replacements
    message = f"The agent did not begin anew and maxReplacements ({allowed}) is used up"
    return (Deadline(at, EndOfSession(EndReason.AGENT_LOST, message)),)


def _may_replace(session: VoiceSession, status: Status) -> bool:
    """During a recycle the pod that is coming is the replacement."""
    return bool(status.next_pod) or status.replacements < session.limits.max_replacements


def _overdue_at(status: Status, pods: SessionPods) -> float | None:
    if pods.serving is None:
        return None
    if status.is_resetting:
        return _reset_overdue_at(status, pods.serving)
    times = (relapse_at(status), _away_at(status, pods.serving))
    return min((at for at in times if at is not None), default=None)


def _away_at(status: Status, pod: AgentPod) -> float | None:
    """A pod that was made after the agent went is only starting: startSeconds hold for it."""
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if status.ready_at is None or joined is None or joined.status != "False":
        return None
    return due_at(status, joined.since, AWAY_SECONDS) if _was_there(pod, joined) else None


def _was_there(pod: AgentPod, joined: Condition) -> bool:
    """Whether this pod is the one whose agent went, and no younger."""
    return pod.created_at + TIMESTAMP_RESOLUTION_SECONDS <= joined.since


def _reset_overdue_at(status: Status, pod: AgentPod) -> float | None:
    """An agent that went before the reset began is away for as long as without one, or only starting."""
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


def _give_up(status: Status, pods: SessionPods) -> Status:
    last = status.last_reset
    if last is not None and status.is_resetting:
        last = replace(last, outcome=ResetOutcome.ESCALATED)
    given_up = replace(
        status,
        last_reset=last,
        agent_pod=pods.successor.name if pods.successor else "",
        next_pod="",
        replacements=status.replacements + int(not status.next_pod),
    )
    return replace(given_up, agent_epoch=given_up.desired_epoch)
