"""The memory of a session and its condition MemoryReady, which reports problems but never delays speech."""

from dataclasses import dataclass, replace

from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.constants import USER_SCOPE
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.agent_plan import Invalid, NotConfigured, Resolved, Unavailable
from voicesession_operator.domain.observed import AgentPodState, Observed


@dataclass(frozen=True)
class SessionMemory:
    """The Letta agent of a session; the id is empty if there is none or it is not known yet."""

    agent_id: str = ""
    read_only: bool = False


def has_user_memory(session: VoiceSession, agent: VoiceAgent | None) -> bool:
    """Return True if the session's user has a separate Letta agent."""
    return bool(session.user) and agent is not None and agent.letta is not None and agent.letta.scope == USER_SCOPE


def session_memory(session: VoiceSession, status: Status, observed: Observed) -> SessionMemory:
    """Return the memory of the session.

    While it cannot be resolved, the memory in the status stays. A session without a user only reads the shared memory
    of an agent that has a separate memory for each user.
    """
    agent = observed.agent
    if agent is None:
        return SessionMemory(status.memory_agent_id, read_only=True)
    if agent.letta is None:
        return SessionMemory()
    if has_user_memory(session, agent):
        return SessionMemory(_user_agent_id(status, observed))
    return SessionMemory(agent.letta_agent_id, read_only=agent.letta.scope == USER_SCOPE)


def _user_agent_id(status: Status, observed: Observed) -> str:
    """Return the Letta agent of the user; without any Letta there is none, and the pod could never agree on one."""
    match observed.user_memory:
        case Resolved(agent_id):
            return agent_id
        case NotConfigured():
            return ""
        case _:
            return status.memory_agent_id


def observe_memory(
    session: VoiceSession, status: Status, observed: Observed, state: AgentPodState | None, now: float
) -> Status:
    """Return the status with the memory and MemoryReady, which stays absent until the first problem."""
    status = replace(status, memory_agent_id=session_memory(session, status, observed).agent_id)
    problem = _problem(status, observed, state)
    known = find_condition(status.conditions, ConditionType.MEMORY_READY) is not None
    if problem is None and (state is None or not known):
        return status
    available = Condition(ConditionType.MEMORY_READY, "True", Reason.MEMORY_AVAILABLE, "Memory is available again")
    return replace(status, conditions=set_condition(status.conditions, problem or available, now))


def _problem(status: Status, observed: Observed, state: AgentPodState | None) -> Condition | None:
    if state is not None and state.memory_problem:
        return _memory_not_ready(Reason.MEMORY_UNAVAILABLE, state.memory_problem)
    match observed.user_memory:
        case Unavailable(message) if not status.memory_agent_id:
            return _memory_not_ready(Reason.MEMORY_UNAVAILABLE, message)
        case Invalid(message):
            return _memory_not_ready(Reason.MEMORY_INVALID, message)
        case _:
            return None


def _memory_not_ready(reason: Reason, message: str) -> Condition:
    return Condition(ConditionType.MEMORY_READY, "False", reason, message)
