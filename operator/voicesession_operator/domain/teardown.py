"""After the end: room and pods go, then, after its time to live, the VoiceSession itself."""

from dataclasses import replace
from typing import Final

from voicesession_operator.api.session import VoiceSession
from voicesession_operator.domain.actions import Action, DeleteRoom, DeleteSession, Plan
from voicesession_operator.domain.children import delete_pods
from voicesession_operator.domain.failures import retry_after, without_failed
from voicesession_operator.domain.naming import room_name
from voicesession_operator.domain.observed import Observed, Pod
from voicesession_operator.domain.policy import Policy

LOOK_AGAIN_SECONDS: Final = 1.0
BRISK_SECONDS: Final = 30.0
"""How long after the end we look every second; what is still there then waits for an outage to end."""


def farewell(session: VoiceSession, pods: tuple[Pod, ...] = ()) -> tuple[Action, ...]:
    """What to do for a session that is being deleted or is gone; works from its UID alone, safe to repeat."""
    return (DeleteRoom(room_name(session.uid)), *delete_pods(pods))


def plan_deleting(session: VoiceSession, observed: Observed, policy: Policy) -> Plan:
    """A deletion that Kubernetes has begun: nothing is made any more."""
    actions = without_failed(_clean_up(session, observed), observed)
    return Plan(session.status, actions, requeue_after=retry_after(observed, policy.poll_seconds))


def plan_finished(session: VoiceSession, observed: Observed, now: float, policy: Policy) -> Plan:
    """Clean up until nothing is left; the status stays as the end left it."""
    status = replace(session.status, observed_generation=session.generation)
    finished_at = status.finished_at if status.finished_at is not None else now
    ttl = session.ttl_seconds_after_finished
    expires_in = None if ttl is None else max(finished_at + ttl - now, 0.0)
    expired = (DeleteSession(session.uid),) if expires_in == 0.0 else ()
    actions = without_failed((*_clean_up(session, observed), *expired), observed)
    waits = [retry_after(observed, policy.poll_seconds), expires_in or None]
    if observed.room is not None or observed.pods:
        waits.append(LOOK_AGAIN_SECONDS if now - finished_at < BRISK_SECONDS else policy.poll_seconds)
    return Plan(status, actions, requeue_after=min((wait for wait in waits if wait is not None), default=None))


def _clean_up(session: VoiceSession, observed: Observed) -> tuple[Action, ...]:
    """A room that cannot be asked about is deleted all the same: that a room is absent is no error."""
    room = () if observed.room is None else (DeleteRoom(room_name(session.uid)),)
    return (*room, *delete_pods(observed.pods))
