"""AgentJoined: True only while this session's own agent job is seen in the room."""

from dataclasses import replace

from voicesession_operator.api.conditions import Condition, find, put
from voicesession_operator.api.reasons import ConditionType, Reason
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.actions import CreatePod, Tell
from voicesession_operator.domain.children import Children
from voicesession_operator.domain.failures import failure_of
from voicesession_operator.domain.observed import Observed, Pod, Room, Unknown

STARTING = Condition(
    ConditionType.AGENT_JOINED, "False", Reason.STARTING, "The agent is starting and has not joined the room yet"
)
JOINED = Condition(ConditionType.AGENT_JOINED, "True", Reason.JOINED, "The agent is in the room")


def note_agent(session: VoiceSession, status: Status, observed: Observed, children: Children, now: float) -> Status:
    """Take the current pod's name and number into the status, and set AgentJoined."""
    condition = _condition(session, observed, children)
    pod = children.current
    replacements = max(status.replacements, children.newest_ordinal)
    return replace(
        status,
        agent_pod=pod.name if pod else status.agent_pod,
        replacements=replacements,
        # Counts conversations an agent job has begun, so that a pod can tell a newer demand from an older one.
        agent_epoch=1 + status.resets + replacements,
        conditions=put(status.conditions, condition, now),
    )


def _condition(session: VoiceSession, observed: Observed, children: Children) -> Condition:
    pod = children.current
    if pod is None:
        return _no_pod(session, observed, children)
    if isinstance(observed.room, Unknown) and _was_in(session.status, pod):
        return _false(observed.room.reason, observed.room.message, status="Unknown")
    if isinstance(observed.room, Room) and _is_in(session, observed, observed.room, pod):
        return JOINED
    return _trouble(session, observed, pod)


def _no_pod(session: VoiceSession, observed: Observed, children: Children) -> Condition:
    failure = failure_of(observed, CreatePod)
    if observed.agent is None:
        missing = f'VoiceAgent "{session.agent_ref}" not found in namespace "{session.namespace}"'
        return _false(Reason.AGENT_NOT_FOUND, missing)
    if failure:
        return _false(failure.reason, failure.message)
    if children.newest_ordinal >= 0:
        return _false(Reason.POD_LOST, "The agent's pod is gone and is being replaced")
    return STARTING


def _is_in(session: VoiceSession, observed: Observed, room: Room, pod: Pod) -> bool:
    state = observed.pod_state
    active = [p for p in room.participants if p.active]
    if state is None:
        # A pod that is slow to answer is no reason to call a conversation broken.
        return _was_in(session.status, pod) and any(p.identity == session.status.agent_identity for p in active)
    return bool(state.participant_sid) and any(p.sid == state.participant_sid for p in active)


def _was_in(status: Status, pod: Pod) -> bool:
    """Whether this very pod's agent was in the room when it could last be seen (Unknown only ever follows True)."""
    stored = find(status.conditions, ConditionType.AGENT_JOINED)
    return stored is not None and stored.status in ("True", "Unknown") and status.agent_pod == pod.name


def _trouble(session: VoiceSession, observed: Observed, pod: Pod) -> Condition:
    failure = failure_of(observed, Tell)
    if observed.pod_state is not None and observed.pod_state.trouble:
        return _false(Reason.AGENT_TROUBLE, observed.pod_state.trouble)
    if failure:
        return _false(failure.reason, failure.message)
    stored = find(session.status.conditions, ConditionType.AGENT_JOINED)
    known = stored.message if stored and stored.reason == Reason.POD_TROUBLE else ""
    if session.status.agent_pod != pod.name:
        known = ""
    trouble = pod.trouble
    if observed.pod_state is None and known and (not trouble or _both_about_images(known, trouble)):
        trouble = known
    return _false(Reason.POD_TROUBLE, trouble) if trouble else STARTING


def _both_about_images(one: str, other: str) -> bool:
    """Kubernetes alternates between ErrImagePull and ImagePullBackOff for one and the same missing image."""
    return all("Image" in text.partition(":")[0] for text in (one, other))


def _false(reason: str, message: str, status: str = "False") -> Condition:
    return Condition(ConditionType.AGENT_JOINED, status, reason, message)
