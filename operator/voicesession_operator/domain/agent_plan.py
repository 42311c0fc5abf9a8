"""The status of a VoiceAgent: its condition Ready, and the Letta agent of its memory."""

from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_operator.domain.actions import Event

RETRY_SECONDS: Final = 5.0
"""Delay before an unavailable memory is resolved again."""


@dataclass(frozen=True)
class Resolved:
    """The Letta agent exists or was just created."""

    agent_id: str


@dataclass(frozen=True)
class Unavailable:
    """Letta does not answer; `message` is stable between retries."""

    message: str


@dataclass(frozen=True)
class Invalid:
    """Letta answered that the memory of the VoiceAgent cannot be provided."""

    message: str


@dataclass(frozen=True)
class NotConfigured:
    """This installation has no Letta."""


Memory = Resolved | Unavailable | Invalid | NotConfigured


@dataclass(frozen=True)
class AgentPlan:
    """A merge patch of the whole status; write it and record `events` only if `changed`."""

    status: JsonObject
    changed: bool
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None


def plan_agent(agent: VoiceAgent, memory: Memory, now: float) -> AgentPlan:
    """Return the new status. `memory` is ignored for a VoiceAgent without memory; `now` is Unix seconds."""
    condition = _condition(agent, memory)
    conditions = set_condition(agent.conditions, condition, now)
    letta_agent_id = _letta_agent_id(agent, memory)
    changed = (conditions, letta_agent_id, agent.generation) != (
        agent.conditions,
        agent.letta_agent_id,
        agent.observed_generation,
    )
    waits = agent.letta is not None and isinstance(memory, Unavailable)
    return AgentPlan(
        status={
            "observedGeneration": agent.generation,
            "conditions": [c.render() for c in conditions],
            "letta": {"agentID": letta_agent_id} if letta_agent_id else None,
        },
        changed=changed,
        events=_events(agent, condition),
        requeue_after=RETRY_SECONDS if waits else None,
    )


def _condition(agent: VoiceAgent, memory: Memory) -> Condition:
    ready = ConditionType.READY
    if agent.letta is None:
        return Condition(ready, "True", Reason.VALID, "The agent can be used; it has no memory")
    match memory:
        case Resolved(agent_id):
            return Condition(ready, "True", Reason.VALID, f"The agent can be used; its memory is {agent_id}")
        case Unavailable(message):
            return Condition(ready, "False", Reason.MEMORY_UNAVAILABLE, message)
        case Invalid(message):
            return Condition(ready, "False", Reason.MEMORY_INVALID, message)
        case NotConfigured():
            return Condition(
                ready, "False", Reason.MEMORY_NOT_CONFIGURED, "spec.memory.letta is set, but no Letta is configured"
            )


def _letta_agent_id(agent: VoiceAgent, memory: Memory) -> str:
    """Return the Letta agent; during an outage the last known one, because running sessions use it."""
    if agent.letta is None:
        return ""
    match memory:
        case Resolved(agent_id):
            return agent_id
        case Unavailable():
            return agent.letta.agent_id or agent.letta_agent_id
        case _:
            return ""


def _events(agent: VoiceAgent, condition: Condition) -> tuple[Event, ...]:
    before = find_condition(agent.conditions, condition.type)
    if condition.status == "True" or (before is not None and before.reason == condition.reason):
        return ()
    return (Event("Warning", str(condition.reason), condition.message),)
