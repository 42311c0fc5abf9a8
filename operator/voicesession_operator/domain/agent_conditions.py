"""The conditions of the agent.

AgentJoined is True while the job of this session's current epoch is in the room. AgentHealthy reports health problems.
"""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voicesession import Absence, Status, VoiceSession

from voicesession_operator.domain.actions import CreatePod, SetPodState
from voicesession_operator.domain.handover import HANDING_OVER, is_handing_over
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Observed, Room, RoomUnknown
from voicesession_operator.domain.pods import SessionPods, count_replacements, with_last_problem
from voicesession_operator.domain.reset import mark_reset_replaced, resetting_condition

HEALTH_REASONS: Final = {
    "Stuck": Reason.AGENT_STUCK,
    "Deaf": Reason.AGENT_DEAF,
    "Mute": Reason.AGENT_MUTE,
    "ProviderFailing": Reason.PROVIDER_FAILING,
    "Disconnected": Reason.AGENT_DISCONNECTED,
}
"""Reasons by the health states of the control port; unknown states of later releases are not reported."""


def set_agent_healthy(status: Status, state: AgentPodState | None, now: float) -> Status:
    """Return the status with AgentHealthy, which stays absent until the first problem; silence changes nothing."""
    if state is None:
        return status
    reason = HEALTH_REASONS.get(state.health)
    if reason is None and find_condition(status.conditions, ConditionType.AGENT_HEALTHY) is None:
        return status
    condition = _health_condition(reason, state.health_message)
    return replace(status, conditions=set_condition(status.conditions, condition, now))


def _health_condition(reason: Reason | None, message: str) -> Condition:
    if reason is None:
        return Condition(ConditionType.AGENT_HEALTHY, "True", Reason.HEALTHY, "The agent works again")
    return Condition(ConditionType.AGENT_HEALTHY, "False", reason, message)


PREPARING: Final = "Preparing"
"""State of a pod before its first job was ready: a problem in this state is an error in the VoiceAgent."""
STARTING = Condition(
    ConditionType.AGENT_JOINED, "False", Reason.STARTING, "The agent is starting and has not joined the room yet"
)
JOINED = Condition(ConditionType.AGENT_JOINED, "True", Reason.JOINED, "The agent is in the room")
ABSENT = Condition(
    ConditionType.AGENT_JOINED,
    "False",
    Reason.AGENT_ABSENT,
    "The agent reports that it is in the room, but LiveKit does not list it",
)
RETRYING_REASONS: Final = frozenset({Reason.STARTING, Reason.JOB_DIED, Reason.POD_LOST})
JOB_DIED = Condition(
    ConditionType.AGENT_JOINED, "False", Reason.JOB_DIED, "The agent's job died; its pod starts another one"
)


def observe_agent(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float) -> Status:
    """Return the status with the pods' names, the counts derived from them, and AgentJoined."""
    known = pods.serving or pods.newest
    named = replace(
        status,
        agent_pod=known.name if known else status.agent_pod,
        pod_ordinal=known.ordinal if known else status.pod_ordinal,
        next_pod=_next_pod(status, pods),
    )
    counted = count_replacements(named, pods.highest_ordinal - status.recycles, now)
    counted = mark_reset_replaced(session.status, counted)
    joined = _joined_condition(session, counted, observed, pods)
    return replace(
        counted,
        agent_epoch=counted.desired_epoch,
        conditions=set_condition(counted.conditions, joined, now),
        absence=_absence(session.status, joined, pods.serving, now),
    )


def _absence(stored: Status, joined: Condition, serving: AgentPod | None, now: float) -> Absence | None:
    """Return the wait for the serving pod's agent. A pod that follows another one has its own time."""
    if joined.status != "False":
        return None
    pod = serving.name if serving else ""
    if stored.absence is not None and stored.absence.pod == pod:
        return stored.absence
    return Absence(pod, now, left=serving is not None and _was_joined(stored, serving))


def _next_pod(status: Status, pods: SessionPods) -> str:
    """Return the successor while a pod from before the recycle serves; one claimed from a pool has its own name."""
    if pods.serving is None or pods.serving.ordinal >= status.newest_ordinal:
        return ""
    return pods.successor.name if pods.successor and status.next_pod else status.next_pod


def _joined_condition(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods) -> Condition:
    pod = pods.serving
    if not status.is_resetting and is_handing_over(session.status, observed, pods):
        joined = pod is not None and observed.agent_in_room(pod, status.agent_identity)
        return JOINED if joined else HANDING_OVER
    if pod is None:
        return _after_problem(session, _without_pod(session, observed, pods))
    if isinstance(observed.room, RoomUnknown) and _was_joined(session.status, pod):
        return _not_joined(observed.room.reason, observed.room.message, status="Unknown")
    if _is_joined(session, status, observed, pods, pod):
        return _joined(observed.state_of(pod))
    if status.is_resetting:
        return resetting_condition(status)
    return (
        ABSENT
        if _is_absent(session.status, status.agent_identity, observed, pod)
        else _after_problem(session, _starting_or_failed(session, observed, pod))
    )


def _joined(state: AgentPodState | None) -> Condition:
    """Return the condition of an agent in the room; its pod may be unable to start another job."""
    if state is None or not state.problem:
        return JOINED
    return replace(JOINED, message=f"{JOINED.message}, and its pod reports: {state.problem}")


def _after_problem(session: VoiceSession, condition: Condition) -> Condition:
    """Return the condition with the problem of the job or pod before, while another one is tried."""
    if condition.reason not in RETRYING_REASONS:
        return condition
    return replace(condition, message=with_last_problem(condition.message, session.status))


def _without_pod(session: VoiceSession, observed: Observed, pods: SessionPods) -> Condition:
    failure = observed.failure_of(CreatePod)
    if observed.agent is None:
        missing = f'VoiceAgent "{session.agent_ref}" not found in namespace "{session.namespace}"'
        return _not_joined(Reason.AGENT_NOT_FOUND, missing)
    if failure:
        return _not_joined(failure.reason, failure.message)
    if pods.highest_ordinal >= 0:
        return _not_joined(Reason.POD_LOST, "The agent's pod is gone and is being replaced")
    return STARTING


def _is_joined(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, pod: AgentPod) -> bool:
    state = observed.state_of(pod)
    if observed.agent_in_room(pod, status.agent_identity):
        return not status.is_resetting or (state is not None and state.job_epoch >= status.desired_epoch)
    if not isinstance(observed.room, Room) or not _was_joined(session.status, pod):
        return False
    agents = [p for p in observed.room.participants if p.identity == session.status.agent_identity]
    # Two cases do not interrupt a conversation: a pod that answers slowly, and the moment of a recycle when the new
    # agent, with the same identity, disconnects the old one.
    if state is None:
        return any(p.active for p in agents)
    successor = observed.state_of(pods.successor)
    return bool(agents) and successor is not None and successor.session_uid == session.uid


def _was_joined(status: Status, pod: AgentPod) -> bool:
    """Return True if this pod's agent was in the room when LiveKit last answered; Unknown only follows True."""
    stored = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    if stored is None or stored.reason == Reason.HANDING_OVER:
        return False
    return stored.status in ("True", "Unknown") and status.agent_pod == pod.name


def _is_absent(status: Status, identity: str, observed: Observed, pod: AgentPod) -> bool:
    """Return True if LiveKit no longer lists an agent that its pod reports as joined; `status` is the stored one.

    An agent that was never listed is arriving: its pod reports it before LiveKit lists it.
    """
    stored = find_condition(status.conditions, ConditionType.AGENT_JOINED)
    state = observed.state_of(pod)
    if state is None or not state.participant_sid or not isinstance(observed.room, Room):
        return False
    if observed.listed_agents(pod, identity):
        return False
    return _was_joined(status, pod) or (stored is not None and stored.reason == Reason.AGENT_ABSENT)


def _starting_or_failed(session: VoiceSession, observed: Observed, pod: AgentPod) -> Condition:
    failure, state = observed.failure_of(SetPodState), observed.state_of(pod)
    if state is not None and state.problem:
        return _not_joined(Reason.AGENT_INVALID if state.state == PREPARING else Reason.AGENT_ERROR, state.problem)
    if failure:
        return _not_joined(failure.reason, failure.message)
    if state is not None and _has_lost_job(state):
        return JOB_DIED
    stored = find_condition(session.status.conditions, ConditionType.AGENT_JOINED)
    known = stored.message if stored and stored.reason == Reason.POD_NOT_RUNNING else ""
    if session.status.agent_pod != pod.name:
        known = ""
    problem = pod.problem
    if state is None and known and (not problem or _both_about_images(known, problem)):
        problem = known
    return _not_joined(Reason.POD_NOT_RUNNING, problem) if problem else STARTING


def _has_lost_job(state: AgentPodState) -> bool:
    """Return True if a job died; AgentHealthy reports a job that was restarted for its health."""
    return state.job_restarts > 0 and not state.participant_sid and state.health not in HEALTH_REASONS


def _both_about_images(first: str, second: str) -> bool:
    """Return True for two image errors: Kubernetes alternates between ErrImagePull and ImagePullBackOff."""
    return all("Image" in text.partition(":")[0] for text in (first, second))


def _not_joined(reason: str, message: str, status: str = "False") -> Condition:
    return Condition(ConditionType.AGENT_JOINED, status, reason, message)
