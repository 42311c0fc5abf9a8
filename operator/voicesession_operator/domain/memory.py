"""The memory of a session and its condition MemoryReady, which reports problems but never delays speech.

Also the tags that separate the Letta agents of namespaces, and the end of memories of users that nobody uses.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.constants import USER_SCOPE
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voiceagent import REMEMBER_BLOCK, VoiceAgent
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.agent_plan import Invalid, NotConfigured, Resolved, Unavailable
from voicesession_operator.domain.observed import AgentPodState, Observed


@dataclass(frozen=True)
class SessionMemory:
    """The Letta agent of a session; the id is empty if there is none or it is not known yet."""

    agent_id: str = ""
    read_only: bool = False
    remember: bool = False
    """The agent may write and forget facts."""
    remember_block: str = REMEMBER_BLOCK
    """Label of the only block that the agent writes."""


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
    is_own = has_user_memory(session, agent)
    read_only = agent.letta.scope == USER_SCOPE and not is_own
    return SessionMemory(
        _user_agent_id(status, observed) if is_own else agent.letta_agent_id,
        read_only,
        agent.letta.remembers and not read_only,
        agent.letta.remember_block,
    )


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


@dataclass(frozen=True)
class MemoryTags:
    """The tags of Letta agents. Letta has no tenants, so only the tags say to which namespace an agent belongs.

    Namespaces and names contain neither a colon nor a slash, so the text after a second slash is the user.
    """

    installation: str

    @property
    def users(self) -> str:
        """Return the tag of the Letta agents of all users."""
        return f"voicesession-users:{self.installation}"

    def namespace(self, namespace: str) -> str:
        """Return the tag with which a Letta agent may be used by every VoiceAgent of the namespace."""
        return f"voicesession-namespace:{self.installation}:{namespace}"

    def agent(self, namespace: str, name: str) -> str:
        """Return the tag of the memory of a VoiceAgent."""
        return f"voicesession:{self.installation}:{namespace}/{name}"

    def user(self, namespace: str, name: str, user: str) -> str:
        """Return the tag of the memory of one user of a VoiceAgent."""
        return f"{self.agent(namespace, name)}/{user}"

    def read_user(self, tags: Collection[str]) -> tuple[str, str, str] | None:
        """Return namespace, VoiceAgent and user from the tags of a Letta agent; None if it belongs to no user."""
        for tag in tags:
            namespace, _, rest = tag.removeprefix(f"voicesession:{self.installation}:").partition("/")
            name, _, user = rest.partition("/")
            if user and tag == self.user(namespace, name, user):
                return namespace, name, user
        return None

    def may_use(self, namespace: str, tags: Collection[str], *, untagged: bool) -> bool:
        """Return whether VoiceAgents of the namespace may use a Letta agent with these tags.

        `untagged` allows agents that no operator has made.
        """
        if not self.is_tagged(tags):
            return untagged
        return self.namespace(namespace) in tags or any(tag.startswith(self.agent(namespace, "")) for tag in tags)

    def is_tagged(self, tags: Collection[str]) -> bool:
        """Return whether the Letta agent belongs to an installation of this project, this one or another one."""
        return any(tag.startswith(("voicesession:", "voicesession-")) for tag in tags)


@dataclass(frozen=True)
class Deleted:
    """Letta agents were deleted with their blocks."""

    count: int


@dataclass(frozen=True)
class UserAgent:
    """The Letta agent of a user, as Letta lists it."""

    agent_id: str
    owner: tuple[str, str, str] | None
    """Namespace, VoiceAgent and user; None if its tags name no user."""
    used_at: float | None
    """Time of the last known use, by an operator's clock; None in agents of operators that did not record it."""
    retention_days: int = 0
    """`retentionDays` of its VoiceAgent when it was last seen; for the time after the deletion of the VoiceAgent."""


@dataclass(frozen=True)
class UserAgentPage:
    """Some of the users' Letta agents, the oldest first."""

    agents: tuple[UserAgent, ...]
    is_last: bool


class RetentionStep(StrEnum):
    """The next step for the Letta agent of a user."""

    KEEP = "keep"
    MARK = "mark"
    DELETE = "delete"


DAY_SECONDS: Final = 86_400.0
USE_RECORD_SECONDS: Final = 6 * 3600.0
"""Longest time from a use to its record in Letta, so that a session writes seldom."""
RETENTION_SLACK_SECONDS: Final = DAY_SECONDS
"""Added to `retentionDays`: it exceeds USE_RECORD_SECONDS and every difference between the clocks of two leaders."""


def retention_step(found: UserAgent, days: int, now: float, *, is_live: bool) -> RetentionStep:
    """Return the next step. `days` is the current retention; 0 keeps the memory.

    An agent without a record of its use is marked first. So is one with a record in the future, which another clock
    wrote.
    """
    if found.owner is None:
        return RetentionStep.KEEP
    if found.used_at is None or found.used_at > now + RETENTION_SLACK_SECONDS:
        return RetentionStep.MARK
    if days and not is_live and now - found.used_at >= days * DAY_SECONDS + RETENTION_SLACK_SECONDS:
        return RetentionStep.DELETE
    return RetentionStep.KEEP if found.retention_days == days else RetentionStep.MARK
