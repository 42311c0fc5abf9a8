"""The line of a session's life: begun, ready, finished, gone. It is only ever walked forward."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition
from voicesession_common.api.reasons import ConditionType, Phase, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Action, DeleteRoom, DeleteSession, EndOfSession, Plan
from voicesession_operator.domain.config import Config
from voicesession_operator.domain.naming import agent_identity, room_name
from voicesession_operator.domain.observed import AgentPod, Observed
from voicesession_operator.domain.pods import delete_pods

REQUIRED: Final = (ConditionType.ROOM_READY, ConditionType.AGENT_JOINED)
"""Ready is exactly these two."""


def begin(session: VoiceSession, now: float, config: Config) -> Status:
    """What is known of a session before anything has been observed."""
    status = session.status
    return replace(
        status,
        observed_generation=session.generation,
        started_at=now if status.started_at is None else status.started_at,
        room_name=room_name(session.uid),
        room_url=config.public_url,
        agent_identity=agent_identity(session.agent_ref),
    )


def set_ready(status: Status, now: float) -> Status:
    """Set Ready from the conditions it consists of, and remember the first time."""
    parts = [found for kind in REQUIRED if (found := find_condition(status.conditions, kind))]
    missing = next((part for part in parts if part.status != "True"), None)
    if missing is None:
        ready = Condition(ConditionType.READY, "True", Reason.READY, "The agent is in the room")
    else:
        ready = replace(missing, type=ConditionType.READY)
    first = now if missing is None and status.ready_at is None else status.ready_at
    return replace(status, ready_at=first, conditions=set_condition(status.conditions, ready, now))


def finish(status: Status, end: EndOfSession, now: float) -> Status:
    """The last status of a session. It is stored before anything is torn down, so that a crash cannot forget it."""
    since = status.ready_at if status.ready_at is not None else status.started_at
    lasted = now - (now if since is None else since)
    message = f"{end.message}. Humans in the room: {status.humans}; it lasted {lasted:.0f} s"
    conditions = set_condition(
        status.conditions, Condition(ConditionType.FINISHED, "True", str(end.reason), message), now
    )
    for kind in (*REQUIRED, ConditionType.READY):
        over = Condition(kind, "False", Reason.FINISHED, "The session is finished")
        conditions = set_condition(conditions, over, now)
    return replace(
        status,
        conditions=conditions,
        humans=0,
        finished_at=now,
        end_reason=str(end.reason),
        phase=str(Phase.FINISHED),
    )


def phase(status: Status) -> Phase:
    """A word for people; no decision reads it."""
    if status.finished_at is not None:
        return Phase.FINISHED
    if status.last_human_left_at is not None:
        return Phase.GRACE
    if not is_condition_true(status.conditions, ConditionType.READY):
        return Phase.STARTING if status.agent_pod or status.ready_at is not None else Phase.PENDING
    return Phase.ACTIVE if status.humans else Phase.READY


LOOK_AGAIN_SECONDS: Final = 1.0
BRISK_SECONDS: Final = 30.0
"""How long after the end we look every second; what is still there then waits for an outage to end."""


def cleanup_actions(session: VoiceSession, pods: tuple[AgentPod, ...] = ()) -> tuple[Action, ...]:
    """What to do for a session that is being deleted or is gone; works from its UID alone, safe to repeat."""
    return (DeleteRoom(room_name(session.uid)), *delete_pods(pods))


def plan_deleting(session: VoiceSession, observed: Observed, config: Config) -> Plan:
    """A deletion that Kubernetes has begun: nothing is made any more."""
    actions = observed.without_failed(_clean_up(session, observed))
    return Plan(session.status, actions, requeue_after=observed.retry_after(config.poll_seconds))


def plan_finished(session: VoiceSession, observed: Observed, now: float, config: Config) -> Plan:
    """Clean up until nothing is left; the status stays as the end left it."""
    status = replace(session.status, observed_generation=session.generation)
    finished_at = status.finished_at if status.finished_at is not None else now
    ttl = session.ttl_seconds_after_finished
    expires_in = None if ttl is None else max(finished_at + ttl - now, 0.0)
    expired = (DeleteSession(session.uid),) if expires_in == 0.0 else ()
    actions = observed.without_failed((*_clean_up(session, observed), *expired))
    waits = [observed.retry_after(config.poll_seconds), expires_in or None]
    if observed.room is not None or observed.pods:
        waits.append(LOOK_AGAIN_SECONDS if now - finished_at < BRISK_SECONDS else config.poll_seconds)
    return Plan(status, actions, requeue_after=min((wait for wait in waits if wait is not None), default=None))


def _clean_up(session: VoiceSession, observed: Observed) -> tuple[Action, ...]:
    """A room that cannot be asked about is deleted all the same: that a room is absent is no error."""
    room = () if observed.room is None else (DeleteRoom(room_name(session.uid)),)
    return (*room, *delete_pods(observed.pods))
