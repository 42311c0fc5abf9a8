"""The stages of a session: started, ready, finished, cleaned up. No stage is ever undone."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition
from voicesession_common.api.reasons import ConditionType, Reason, SessionPhase
from voicesession_common.api.timestamps import StartSteps
from voicesession_common.api.voiceagent import Inherited
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Action, DeleteRoom, DeleteSession, EndOfSession, Plan
from voicesession_operator.domain.naming import agent_identity, room_name
from voicesession_operator.domain.observed import AgentPod, Config, Observed
from voicesession_operator.domain.pods import claimed_at, delete_pods

REQUIRED: Final = (ConditionType.ROOM_READY, ConditionType.AGENT_JOINED)
"""Ready is True when both of these are."""


def initial_status(session: VoiceSession, observed: Observed, now: float, config: Config) -> Status:
    """Return the status with the values that are decided once."""
    status = session.status
    known = Inherited.of_agent(observed.agent.spec) if observed.agent else None
    return replace(
        status,
        observed_generation=session.generation,
        inherited=status.inherited or known,
        started_at=_started_at(session, observed, now),
        room_name=room_name(session.uid),
        room_url=config.public_url,
        agent_identity=agent_identity(session.agent_ref),
    )


def _started_at(session: VoiceSession, observed: Observed, now: float) -> float:
    """Return the stored start, or that of a session without a status, which may have claimed a pod already."""
    if session.status.started_at is not None:
        return session.status.started_at
    claims = (claimed_at(session, pod) for pod in observed.pods)
    return min([now, *(at for at in claims if at is not None)])


def set_ready(status: Status, now: float) -> Status:
    """Return the status with Ready, derived from its required conditions, and the time of the first Ready."""
    parts = [found for kind in REQUIRED if (found := find_condition(status.conditions, kind))]
    missing = next((part for part in parts if part.status != "True"), None)
    if missing is None:
        ready = Condition(ConditionType.READY, "True", Reason.READY, "The agent is in the room")
    else:
        ready = replace(missing, type=ConditionType.READY)
    first = now if missing is None and status.ready_at is None else status.ready_at
    return replace(status, ready_at=first, conditions=set_condition(status.conditions, ready, now))


def set_start(session: VoiceSession, status: Status, observed: Observed) -> Status:
    """Return the status with the times of the steps before Ready, when it becomes Ready.

    The pod's clock can be wrong, so its times are limited to the time between the first reconcile and Ready.
    """
    pod = next((pod for pod in observed.pods if pod.name == status.agent_pod), None)
    state, ready_at = observed.state_of(pod), status.ready_at
    if session.status.ready_at is not None or ready_at is None or pod is None or state is None:
        return status
    started_at = ready_at if status.started_at is None else status.started_at
    bound, joined = (
        None if at is None else min(max(started_at, at), ready_at) for at in (state.timings.bound, state.timings.joined)
    )
    return replace(status, start=StartSteps(pod.created_at, bound, joined))


def finish(status: Status, end: EndOfSession, now: float) -> Status:
    """Return the final status. It is stored before the cleanup, so that the end survives a crash of the operator."""
    since = status.ready_at if status.ready_at is not None else status.started_at
    lasted = now - (now if since is None else since)
    message = f"{end.message}. Humans in the room: {status.humans}; it lasted {lasted:.0f} s"
    finished = Condition(ConditionType.FINISHED, "True", str(end.reason), message)
    conditions = set_condition(status.conditions, finished, now)
    for kind in (*REQUIRED, ConditionType.READY):
        over = Condition(kind, "False", Reason.FINISHED, "The session is finished")
        conditions = set_condition(conditions, over, now)
    return replace(
        status,
        conditions=conditions,
        humans=0,
        finished_at=now,
        end_reason=str(end.reason),
        phase=str(SessionPhase.FINISHED),
    )


def derive_phase(status: Status) -> SessionPhase:
    """Return the phase for display; no decision reads it."""
    if status.finished_at is not None:
        return SessionPhase.FINISHED
    if status.last_human_left_at is not None:
        return SessionPhase.GRACE
    if not is_condition_true(status.conditions, ConditionType.READY):
        return SessionPhase.STARTING if status.agent_pod or status.ready_at is not None else SessionPhase.PENDING
    return SessionPhase.ACTIVE if status.humans else SessionPhase.READY


CLEANUP_POLL_SECONDS: Final = 1.0
FAST_CLEANUP_SECONDS: Final = 30.0
"""Time after the end with a poll every second; anything left later waits for the end of an outage."""


def cleanup_actions(session: VoiceSession, pods: tuple[AgentPod, ...] = ()) -> tuple[Action, ...]:
    """Return the cleanup of a session that is deleted or gone; needs only its UID and is safe to repeat."""
    return (DeleteRoom(room_name(session.uid)), *delete_pods(pods))


def plan_deleting(session: VoiceSession, observed: Observed, config: Config) -> Plan:
    """Return the plan of a session that Kubernetes is deleting: cleanup only."""
    actions = observed.without_failed(_remaining_cleanup(session, observed))
    return Plan(session.status, actions, requeue_after=observed.retry_after(config.poll_seconds))


def plan_finished(session: VoiceSession, observed: Observed, now: float, config: Config) -> Plan:
    """Return the plan of a finished session: cleanup until nothing is left, with an unchanged status."""
    status = replace(session.status, observed_generation=session.generation)
    finished_at = status.finished_at if status.finished_at is not None else now
    ttl = session.ttl_seconds_after_finished
    expires_in = None if ttl is None else max(finished_at + ttl - now, 0.0)
    expired = (DeleteSession(session.uid),) if expires_in == 0.0 else ()
    actions = observed.without_failed((*_remaining_cleanup(session, observed), *expired))
    waits = [observed.retry_after(config.poll_seconds), expires_in or None]
    if observed.room is not None or observed.pods:
        waits.append(CLEANUP_POLL_SECONDS if now - finished_at < FAST_CLEANUP_SECONDS else config.poll_seconds)
    return Plan(status, actions, requeue_after=min((wait for wait in waits if wait is not None), default=None))


def _remaining_cleanup(session: VoiceSession, observed: Observed) -> tuple[Action, ...]:
    """Delete the pods, and the room unless it is known to be gone; deleting an absent room is not an error."""
    room = () if observed.room is None else (DeleteRoom(room_name(session.uid)),)
    return (*room, *delete_pods(observed.pods))
