"""The desired state of each agent pod: session, room, epoch and memory."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import is_condition_false
from voicesession_common.api.reasons import Action, Cause, ConditionType
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import PodAddress, SetPodState
from voicesession_operator.domain.agent_conditions import PREPARING
from voicesession_operator.domain.handover import continued_pod
from voicesession_operator.domain.memory import SessionMemory, session_memory
from voicesession_operator.domain.naming import room_metadata
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Config, Observed, Room
from voicesession_operator.domain.pods import SessionPods

TOKEN_MARGIN_SECONDS: Final = 3600
"""The token outlives the session, so that a job restarted at the very end can still join."""


def desired_pod_states(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, config: Config
) -> tuple[SetPodState, ...]:
    """Send the desired state to each pod with a different reported state; skip pods that do not answer."""
    if not isinstance(observed.room, Room):
        return ()
    memory = session_memory(session, status, observed)
    changes = []
    for pod in (pods.serving, pods.successor):
        state = observed.state_of(pod)
        if pod is None or not pod.ip or state is None:
            continue
        ending = continued_pod(session, status, observed, pods, state)
        if ending is not None and state.state == PREPARING:
            # The conversation goes on in the ending pod, and its newest words are worth more than an early bind.
            continue
        epoch = _epoch_to_send(session, status, pods, pod, state)
        if not _is_up_to_date(session, epoch, state, memory) or _expires_early(session, status, state):
            change = _set_pod_state(session, status, observed, pod, epoch, memory)
            continues = None if ending is None else PodAddress(ending.ip, ending.uid)
            metadata = room_metadata(session, config.installation_id)
            changes.append(replace(change, room_metadata=metadata, continues=continues))
    return tuple(changes)


def _epoch_to_send(
    session: VoiceSession, status: Status, pods: SessionPods, pod: AgentPod, state: AgentPodState
) -> int:
    """Return the epoch for the pod.

    While a failed successor is replaced, the serving pod keeps its epoch, and thus its conversation, except for a
    reset. If the lost successor had disconnected the serving agent, the new epoch brings that agent back.
    """
    is_newest = pod.ordinal >= status.newest_ordinal
    must_rejoin = pods.successor is None and is_condition_false(status.conditions, ConditionType.AGENT_JOINED)
    if is_newest or must_rejoin or status.is_resetting or state.session_uid != session.uid:
        return status.agent_epoch
    return state.epoch


def _is_up_to_date(session: VoiceSession, epoch: int, state: AgentPodState, memory: SessionMemory) -> bool:
    has_memory = not memory.agent_id or state.memory_agent_id == memory.agent_id
    return state.session_uid == session.uid and state.epoch >= epoch and has_memory


def _expires_early(session: VoiceSession, status: Status, state: AgentPodState) -> bool:
    """Return True if the pod's token expires before the session, because maxDurationSeconds was raised."""
    if state.token_expires_at is None or status.started_at is None:
        return False
    limits = session.limits
    ready_at = status.started_at + limits.start_seconds if status.ready_at is None else status.ready_at
    return state.token_expires_at < ready_at + limits.max_duration_seconds


def _set_pod_state(
    session: VoiceSession, status: Status, observed: Observed, pod: AgentPod, epoch: int, memory: SessionMemory
) -> SetPodState:
    return SetPodState(
        pod_ip=pod.ip,
        pod_uid=pod.uid,
        session_uid=session.uid,
        epoch=epoch,
        room_name=status.room_name,
        identity=status.agent_identity,
        display_name=observed.agent.display_name if observed.agent else session.agent_ref,
        memory_agent_id=memory.agent_id,
        ttl_seconds=_token_seconds(session),
        cause=_cause(status, pod),
        memory_read_only=memory.read_only,
        memory_remember=memory.remember,
        memory_remember_block=memory.remember_block,
        idle_seconds=session.limits.idle_seconds,
        prewarm=session.on_last_human_left.action != Action.TEARDOWN,
        room_sid=status.room_sid,
        agent_metadata=session.agent_metadata,
    )


def _cause(status: Status, pod: AgentPod) -> str:
    if status.last_reset is not None and (status.is_resetting or status.next_pod):
        return status.last_reset.cause
    return Cause.REPLACED if pod.ordinal > 0 else Cause.START


def _token_seconds(session: VoiceSession) -> int:
    return int(session.limits.start_seconds + session.limits.max_duration_seconds) + TOKEN_MARGIN_SECONDS
