"""When a reset does not help: the pod is given up for another one, or the session ends with its agent lost."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find
from voicesession_common.api.reasons import Cause, ConditionType, EndReason, ResetOutcome
from voicesession_common.api.voicesession import Status, VoiceSession, epoch_of, is_running

from voicesession_operator.domain.actions import Deadline, Step, Verdict
from voicesession_operator.domain.observed import Pod
from voicesession_operator.domain.pods import Children
from voicesession_operator.domain.reset import relapse_at
from voicesession_operator.domain.room import counted_from

RESET_SECONDS: Final = 10.0
"""For a reset: 0.3 s as a rule; the pod's own supervisor gives up after this time, too."""
ABSENT_RESET_SECONDS: Final = 15.0
"""For the reset of an agent that was missing from the room: 20 s in all, since 5 s passed before it."""

AWAY_SECONDS: Final = 30.0
"""For an agent that is out and tries to come back by itself: where its pod cannot reach LiveKit, another may."""
STAMP_SECONDS: Final = 1.0
"""Kubernetes rounds creation times down to whole seconds."""


def escalations(session: VoiceSession, status: Status, children: Children) -> tuple[Step, ...]:
    """The serving pod is given up; the one that takes its place counts as a replacement."""
    at = _overdue_at(status, children)
    if at is None or not _may_replace(session, status):
        return ()
    return (Step(at, _give_up(status, children)),)


def hopeless(session: VoiceSession, status: Status, children: Children) -> tuple[Deadline, ...]:
    """The serving pod had to be given up, and every replacement is used up."""
    at = _overdue_at(status, children)
    if at is None or _may_replace(session, status):
        return ()
    allowed = session.limits.max_replacements
    message = f"The agent did not begin anew and maxReplacements ({allowed}) is used up"
    return (Deadline(at, Verdict(EndReason.AGENT_LOST, message)),)


def _may_replace(session: VoiceSession, status: Status) -> bool:
    """During a recycle the pod that is coming is the replacement."""
    return bool(status.next_pod) or status.replacements < session.limits.max_replacements


def _overdue_at(status: Status, children: Children) -> float | None:
    if children.current is None:
        return None
    if is_running(status):
        return _reset_overdue_at(status, children.current)
    times = (relapse_at(status), _away_at(status, children.current))
    return min((at for at in times if at is not None), default=None)


def _away_at(status: Status, pod: Pod) -> float | None:
    """A pod that was made after the agent went is only starting: startSeconds hold for it."""
    joined = find(status.conditions, ConditionType.AGENT_JOINED)
    if status.ready_at is None or joined is None or joined.status != "False":
        return None
    return counted_from(status, joined.since, AWAY_SECONDS) if _was_there(pod, joined) else None


def _was_there(pod: Pod, joined: Condition) -> bool:
    """Whether this pod is the one whose agent went, and no younger."""
    return pod.created_at + STAMP_SECONDS <= joined.since


def _reset_overdue_at(status: Status, pod: Pod) -> float | None:
    """An agent that went before the reset began is away for as long as without one, or only starting."""
    last, joined = status.last_reset, find(status.conditions, ConditionType.AGENT_JOINED)
    if last is None or joined is None:
        return None
    if last.cause == Cause.AGENT_ABSENT:
        return counted_from(status, last.started_at, ABSENT_RESET_SECONDS)
    due = counted_from(status, last.started_at, RESET_SECONDS)
    if joined.since >= last.started_at:
        return due
    away = _away_at(status, pod)
    return None if due is None or away is None else max(due, away)


def _give_up(status: Status, children: Children) -> Status:
    last = status.last_reset
    if last is not None and is_running(status):
        last = replace(last, outcome=ResetOutcome.ESCALATED)
    given_up = replace(
        status,
        last_reset=last,
        agent_pod=children.coming.name if children.coming else "",
        next_pod="",
        replacements=status.replacements + int(not status.next_pod),
    )
    return replace(given_up, agent_epoch=epoch_of(given_up))
