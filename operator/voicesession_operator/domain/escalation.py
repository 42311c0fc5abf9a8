"""Escalation of an agent that does not come back: its pod is replaced, or the session ends as AgentLost."""

from dataclasses import dataclass, replace
from typing import Final

from voicesession_common.api.conditions import find_condition
from voicesession_common.api.reasons import Action, Cause, ConditionType, EndReason, ResetOutcome
from voicesession_common.api.voicesession import Absence, LastReset, Status, VoiceSession

from voicesession_operator.domain.actions import CreatePod, Deadline, Decision, DeletePod, EndOfSession
from voicesession_operator.domain.observed import AgentPod, Observed
from voicesession_operator.domain.pods import SessionPods, count_replacements, may_replace, with_last_problem
from voicesession_operator.domain.reset import ABSENT_SECONDS, relapse_at
from voicesession_operator.domain.room import TRIAL_SECONDS, due_at

RESET_SECONDS: Final = 10.0
"""Time limit of a reset, which usually takes 0.3 s; the pod's supervisor gives up after the same time."""
COLD_RESET_SECONDS: Final = 30.0
"""The same under Teardown, where the pod keeps no prewarmed job: its new job loads the models first, 3 to 4 s."""
ABSENT_RESET_SECONDS: Final = 15.0
"""Time limit of the reset of an absent agent: 35 s in all, since the reset starts after 20 s of absence."""

AWAY_SECONDS: Final = 30.0
"""Time limit of an agent that tries to rejoin on its own. If its pod cannot reach LiveKit, another pod may."""


@dataclass(frozen=True)
class _Limit:
    """The end of a pod's time: at `at`, and not before this process has watched the session for the trial."""

    at: float
    trial_seconds: float


def escalations(session: VoiceSession, status: Status, pods: SessionPods, now: float) -> tuple[Decision, ...]:
    """Replace the serving pod when its agent is overdue; the next pod counts as a replacement and gets its own time."""
    if pods.serving is None or not may_replace(session, status, now):
        return ()
    abandoned = _abandon_serving_pod(status, pods, now)
    limits = _limits(session, status, pods.serving, now)
    return tuple(Decision(limit.at, abandoned, limit.trial_seconds) for limit in limits)


def agent_overdue(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float
) -> tuple[Deadline, ...]:
    """End the session when its agent is overdue and no replacement is left, or none can be created."""
    if pods.serving is None:
        return _pod_missing(session, status, observed)
    if may_replace(session, status, now):
        return ()
    allowed = session.limits.max_replacements
    message = with_last_problem(f"The agent did not start again and maxReplacements ({allowed}) is used up", status)
    end = EndOfSession(EndReason.AGENT_LOST, message)
    limits = _limits(session, status, pods.serving, now)
    return tuple(Deadline(limit.at, end, limit.trial_seconds) for limit in limits)


def _pod_missing(session: VoiceSession, status: Status, observed: Observed) -> tuple[Deadline, ...]:
    """End the session if no pod could be created for startSeconds after the loss of the last one.

    The deadline exists only without a VoiceAgent or after a failed try, because the pause before a replacement can be
    longer than startSeconds.
    """
    if observed.agent is not None and not (observed.failure_of(CreatePod) or observed.failure_of(DeletePod)):
        return ()
    joined = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    seconds = session.limits.start_seconds
    limit = _absence_limit(status, "", seconds)
    if joined is None or limit is None:
        return ()
    message = f"The agent did not come back within startSeconds ({seconds:g}): {joined.message}"
    return (Deadline(limit.at, EndOfSession(EndReason.AGENT_LOST, message), limit.trial_seconds),)


def _limits(session: VoiceSession, status: Status, pod: AgentPod, now: float) -> tuple[_Limit, ...]:
    """Return the limits of the serving pod; the first one to pass counts."""
    rejoin = _absence_limit(status, pod.name, _rejoin_seconds(session, status, now))
    if status.last_reset is not None and status.is_resetting:
        limit = _reset_limit(session, status, status.last_reset, rejoin)
        return () if limit is None else (limit,)
    relapse = relapse_at(status)
    second_absence = () if relapse is None else (_Limit(relapse, ABSENT_SECONDS),)
    return (*second_absence, *(() if rejoin is None else (rejoin,)))


def _rejoin_seconds(session: VoiceSession, status: Status, now: float) -> float:
    """Return the time of a pod without its agent; it is shorter if the agent has left and a replacement is left."""
    seconds = session.limits.start_seconds
    has_left = status.absence is not None and status.absence.left
    return min(AWAY_SECONDS, seconds) if has_left and may_replace(session, status, now) else seconds


def _absence_limit(status: Status, pod: str, seconds: float) -> _Limit | None:
    """Return the limit of the wait for that pod's agent, or None if there is no such wait. Before Ready none counts."""
    absence = status.absence
    if status.ready_at is None or absence is None or absence.pod != pod:
        return None
    at = due_at(status, absence.since, seconds)
    return None if at is None else _Limit(at, min(seconds, TRIAL_SECONDS))


def _reset_limit(session: VoiceSession, status: Status, last: LastReset, rejoin: _Limit | None) -> _Limit | None:
    """Return the limit of the running reset.

    If the agent was not in the room when the reset started, the later of its two limits counts.
    """
    absent = last.cause == Cause.AGENT_ABSENT
    is_cold = session.on_last_human_left.action == Action.TEARDOWN
    seconds = ABSENT_RESET_SECONDS if absent else COLD_RESET_SECONDS if is_cold else RESET_SECONDS
    at = due_at(status, last.started_at, seconds)
    if at is None:
        return None
    was_in_room = status.absence is None or status.absence.since == last.started_at
    if absent or was_in_room or rejoin is None:
        return _Limit(at, seconds)
    return _Limit(max(at, rejoin.at), max(seconds, rejoin.trial_seconds))


def _abandon_serving_pod(status: Status, pods: SessionPods, now: float) -> Status:
    last = status.last_reset
    if last is not None and status.is_resetting:
        last = replace(last, outcome=ResetOutcome.ESCALATED)
    next_pod = pods.successor.name if pods.successor else ""
    counted = count_replacements(status, status.replacements + int(not status.next_pod), now)
    abandoned = replace(counted, last_reset=last, agent_pod=next_pod, next_pod="", absence=Absence(next_pod, now))
    abandoned = replace(abandoned, pod_ordinal=pods.successor.ordinal if pods.successor else None)
    return replace(abandoned, agent_epoch=abandoned.desired_epoch)
