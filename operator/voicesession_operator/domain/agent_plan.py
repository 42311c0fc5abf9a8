"""The status of a VoiceAgent: its condition Ready, and the Letta agent of its memory."""

from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.voiceagent import Forgotten, VoiceAgent

from voicesession_operator.domain.actions import Event

RETRY_SECONDS: Final = 5.0
"""Delay before an unavailable memory is resolved again, and a request to forget a user is carried out again."""
KEPT_ANSWERS: Final = 16
"""Answers to requests to forget a user in the status."""


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


Failed = Unavailable | Invalid | NotConfigured
Memory = Resolved | Failed


@dataclass(frozen=True)
class AgentPlan:
    """A merge patch of the whole status; write it and record `events` only if `changed`."""

    status: JsonObject
    changed: bool
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None


def open_requests(agent: VoiceAgent) -> tuple[tuple[str, str], ...]:
    """Return the id and the user of each request to forget a user that has no answer yet."""
    answered = {item.request for item in agent.forgotten}
    return tuple(item for item in agent.forget_requests if item[0] not in answered)


def plan_agent(agent: VoiceAgent, memory: Memory, now: float, answers: tuple[Forgotten, ...] = ()) -> AgentPlan:
    """Return the new status. `memory` is ignored for a VoiceAgent without memory; `now` is Unix seconds.

    `answers` are those to requests to forget a user.
    """
    condition = _condition(agent, memory)
    conditions = set_condition(agent.conditions, condition, now)
    letta_agent_id = _letta_agent_id(agent, memory)
    changed = (conditions, letta_agent_id, agent.generation, answers) != (
        agent.conditions,
        agent.letta_agent_id,
        agent.observed_generation,
        (),
    )
    waits = agent.letta is not None and isinstance(memory, Unavailable)
    waits = waits or len(open_requests(agent)) > len(answers)
    forgotten = (*agent.forgotten, *answers)[-KEPT_ANSWERS:]
    return AgentPlan(
        status={
            "observedGeneration": agent.generation,
            "conditions": [c.render() for c in conditions],
            "letta": {"agentID": letta_agent_id} if letta_agent_id else None,
            "forgotten": [item.render() for item in forgotten] or None,
        },
        changed=changed,
        events=(*_events(agent, condition), *_forget_events(answers)),
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
    """Return the Letta agent; during an outage the last known one, because running sessions use it.

    An id of the spec is used only once Letta has shown that the agent belongs to this namespace.
    """
    if agent.letta is None:
        return ""
    match memory:
        case Resolved(agent_id):
            return agent_id
        case Unavailable():
            is_other = agent.letta.agent_id not in ("", agent.letta_agent_id)
            return "" if is_other else agent.letta_agent_id
        case _:
            return ""


def _events(agent: VoiceAgent, condition: Condition) -> tuple[Event, ...]:
    before = find_condition(agent.conditions, condition.type)
    if condition.status == "True" or (before is not None and before.reason == condition.reason):
        return ()
    return (Event("Warning", str(condition.reason), condition.message),)


def _forget_events(answers: tuple[Forgotten, ...]) -> tuple[Event, ...]:
    """Return an event for each deletion; like all events, it does not name the user."""
    reason = str(Reason.MEMORY_FORGOTTEN)
    removed = [answer.removed for answer in answers if answer.removed]
    return tuple(Event("Normal", reason, f"The memory of a user was deleted: Letta agents: {n}") for n in removed)
