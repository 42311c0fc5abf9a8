"""AgentJoined: True only while this session's own agent job is seen in the room, and it is one of the current epoch."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import CreatePod, SetPodState
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Observed, Room, RoomUnknown
from voicesession_operator.domain.pods import SessionPods
from voicesession_operator.domain.reset import mark_reset_replaced, resetting

REASONS: Final = {
    "Stuck": Reason.AGENT_STUCK,
    "Deaf": Reason.AGENT_DEAF,
    "Mute": Reason.AGENT_MUTE,
    "ProviderFailing": Reason.PROVIDER_FAILING,
    "Disconnected": Reason.AGENT_DISCONNECTED,
}
"""By the control port's own words; what this release does not know is no trouble that it could name."""


def set_agent_healthy(status: Status, state: AgentPodState | None, now: float) -> Status:
    """A session whose agent was never in trouble has no such condition; a pod that is silent changes nothing."""
    if state is None:
        return status
    reason = REASONS.get(state.health)
    if reason is None and find_condition(status.conditions, ConditionType.AGENT_HEALTHY) is None:
        return status
    return replace(
        status, conditions=set_condition(status.conditions, _health_condition(reason, state.health_message), now)
    )


def _health_condition(reason: Reason | None, message: str) -> Condition:
    if reason is None:
        return Condition(ConditionType.AGENT_HEALTHY, "True", Reason.HEALTHY, "The agent works again")
    return Condition(ConditionType.AGENT_HEALTHY, "False", reason, message)


PREPARING: Final = "Preparing"
"""State of a pod in which no job has ever been ready: its trouble is in how the VoiceAgent is written."""
STARTING = Condition(
    ConditionType.AGENT_JOINED, "False", Reason.STARTING, "The agent is starting and has not joined the room yet"
)
JOINED = Condition(ConditionType.AGENT_JOINED, "True", Reason.JOINED, "The agent is in the room")
ABSENT = Condition(
    ConditionType.AGENT_JOINED, "False", Reason.AGENT_ABSENT, "The agent believes itself in the room, but it is not"
)
JOB_DIED = Condition(
    ConditionType.AGENT_JOINED, "False", Reason.JOB_DIED, "The agent's job died; its pod starts another one"
)


def observe_agent(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float) -> Status:
    """Take the pods' names and numbers into the status, and set AgentJoined."""
    known = pods.serving or pods.newest
    counted = replace(
        status,
        agent_pod=known.name if known else status.agent_pod,
        next_pod=status.next_pod if _is_recycling(status, pods) else "",
        replacements=max(status.replacements, pods.highest_ordinal - status.recycles),
    )
    counted = mark_reset_replaced(session.status, counted)
    condition = _condition(session, counted, observed, pods)
    return replace(
        counted, agent_epoch=counted.desired_epoch, conditions=set_condition(counted.conditions, condition, now)
    )


def _is_recycling(status: Status, pods: SessionPods) -> bool:
    """Whether a pod from before the recycle still serves."""
    return pods.serving is not None and pods.serving.ordinal < status.newest_ordinal


def _condition(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods) -> Condition:
    pod = pods.serving
    if pod is None:
        return _no_pod(session, observed, pods)
    if isinstance(observed.room, RoomUnknown) and _was_in(session.status, pod):
        return _false(observed.room.reason, observed.room.message, status="Unknown")
    if _is_in(session, status, observed, pods, pod):
        return JOINED
    if status.is_resetting:
        return resetting(status)
    return ABSENT if _is_absent(session.status, observed, pod) else _trouble(session, observed, pod)


def _no_pod(session: VoiceSession, observed: Observed, pods: SessionPods) -> Condition:
    failure = observed.failure_of(CreatePod)
    if observed.agent is None:
        missing = f'VoiceAgent "{session.agent_ref}" not found in namespace "{session.namespace}"'
        return _false(Reason.AGENT_NOT_FOUND, missing)
    if failure:
        return _false(failure.reason, failure.message)
    if pods.highest_ordinal >= 0:
        return _false(Reason.POD_LOST, "The agent's pod is gone and is being replaced")
    return STARTING


def _is_in(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, pod: AgentPod) -> bool:
    state = observed.state_of(pod)
    if observed.agent_in_room(pod):
        return not status.is_resetting or (state is not None and state.job_epoch >= status.desired_epoch)
    if not isinstance(observed.room, Room) or not _was_in(session.status, pod):
        return False
    namesakes = [p for p in observed.room.participants if p.identity == session.status.agent_identity]
    # A pod that is slow to answer is no reason to call a conversation broken; neither is the moment of a recycle in
    # which the new agent, who bears the same name, puts the old one out.
    if state is None:
        return any(p.active for p in namesakes)
    successor = observed.state_of(pods.successor)
    return bool(namesakes) and successor is not None and successor.session_uid == session.uid


def _was_in(status: Status, pod: AgentPod) -> bool:
    """Whether this very pod's agent was in the room when it could last be seen (Unknown only ever follows True)."""
    stored = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    return stored is not None and stored.status in ("True", "Unknown") and status.agent_pod == pod.name


def _is_absent(status: Status, observed: Observed, pod: AgentPod) -> bool:
    """Only of an agent that had been seen: one that is still arriving is told of by its pod before LiveKit lists it."""
    stored = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    state, room = observed.state_of(pod), observed.room
    if state is None or not state.participant_sid or not isinstance(room, Room):
        return False
    if any(p.sid == state.participant_sid for p in room.participants):
        return False
    return _was_in(status, pod) or (stored is not None and stored.reason == Reason.AGENT_ABSENT)


def _trouble(session: VoiceSession, observed: Observed, pod: AgentPod) -> Condition:
    failure, state = observed.failure_of(SetPodState), observed.state_of(pod)
    if state is not None and state.problem:
        return _false(Reason.AGENT_INVALID if state.state == PREPARING else Reason.AGENT_ERROR, state.problem)
    if failure:
        return _false(failure.reason, failure.message)
    if state is not None and _has_lost_its_job(state):
        return JOB_DIED
    stored = find_condition(session.status.conditions, ConditionType.AGENT_JOINED)
    known = stored.message if stored and stored.reason == Reason.POD_NOT_RUNNING else ""
    if session.status.agent_pod != pod.name:
        known = ""
    problem = pod.problem
    if state is None and known and (not problem or _both_about_images(known, problem)):
        problem = known
    return _false(Reason.POD_NOT_RUNNING, problem) if problem else STARTING


def _has_lost_its_job(state: AgentPodState) -> bool:
    """A job that was found ill did not die by itself: AgentHealthy says what it had."""
    return state.job_restarts > 0 and not state.participant_sid and state.health not in REASONS


def _both_about_images(one: str, other: str) -> bool:
    """Kubernetes alternates between ErrImagePull and ImagePullBackOff for one and the same missing image."""
    return all("Image" in text.partition(":")[0] for text in (one, other))


def _false(reason: str, message: str, status: str = "False") -> Condition:
    return Condition(ConditionType.AGENT_JOINED, status, reason, message)
