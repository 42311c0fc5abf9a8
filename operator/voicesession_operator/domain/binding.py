"""Binding the pod to the room: what it is told, and when it is asked again."""

from typing import Final

from voicesession_operator.api.conditions import find, is_true
from voicesession_operator.api.reasons import ConditionType
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.actions import Tell
from voicesession_operator.domain.children import Children
from voicesession_operator.domain.observed import Observed, PodState, Room

TOKEN_MARGIN_SECONDS: Final = 3600
"""The token outlives the session, so that an agent job which is restarted at the very end still gets in."""
SILENT_YOUNG_SECONDS: Final = 0.25
"""Asking again a pod that has an address and does not answer yet: half of this is added to the time to Ready."""
SILENT_OLD_SECONDS: Final = 2.0
JOINING_SECONDS: Final = 1.0
"""Asking again a pod that is bound: only for the webhook that was lost."""
ENTERING_SECONDS: Final = 0.1
"""The agent is ACTIVE and its pod does not know yet: a webhook is faster than the pod's own job by milliseconds."""


def want_tell(session: VoiceSession, status: Status, observed: Observed, children: Children) -> tuple[Tell, ...]:
    """Tell the pod its session when what it answered differs; a pod that does not answer is not told."""
    pod, state = children.current, observed.pod_state
    if pod is None or not pod.ip or state is None or not isinstance(observed.room, Room):
        return ()
    memory = observed.agent.letta_agent_id if observed.agent else ""
    if _agrees(session, status, state, memory):
        return ()
    return (
        Tell(
            pod_ip=pod.ip,
            pod_uid=pod.uid,
            session_uid=session.uid,
            epoch=status.agent_epoch,
            room_name=status.room_name,
            identity=status.agent_identity,
            display_name=observed.agent.display_name if observed.agent else session.agent_ref,
            memory_agent_id=memory,
            ttl_seconds=_token_seconds(session),
        ),
    )


def _agrees(session: VoiceSession, status: Status, state: PodState, memory: str) -> bool:
    remembers = not memory or state.memory_agent_id == memory
    return state.session_uid == session.uid and state.epoch >= status.agent_epoch and remembers


def _token_seconds(session: VoiceSession) -> int:
    return int(session.limits.start_seconds + session.limits.max_duration_seconds) + TOKEN_MARGIN_SECONDS


def ask_again_after(
    session: VoiceSession, status: Status, observed: Observed, children: Children, now: float
) -> float | None:
    """Seconds until the pod is asked again; None where an event or the ordinary poll will do."""
    pod, state = children.current, observed.pod_state
    if pod is None or not pod.ip or is_true(status.conditions, ConditionType.AGENT_JOINED):
        return None
    joined = find(status.conditions, ConditionType.AGENT_JOINED)
    young = joined is not None and now - joined.since < session.limits.start_seconds
    if not young:
        return SILENT_OLD_SECONDS
    if state is None:
        return SILENT_YOUNG_SECONDS
    return ENTERING_SECONDS if _is_entering(status, observed) else JOINING_SECONDS


def _is_entering(status: Status, observed: Observed) -> bool:
    room = observed.room
    return isinstance(room, Room) and any(p.active and p.identity == status.agent_identity for p in room.participants)
