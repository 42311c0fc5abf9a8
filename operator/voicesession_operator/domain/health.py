"""AgentHealthy: what the pod's own supervisor has found wrong with its job, and is putting right by itself."""

from dataclasses import replace
from typing import Final

from voicesession_operator.api.conditions import Condition, find, put
from voicesession_operator.api.reasons import ConditionType, Reason
from voicesession_operator.api.session import Status
from voicesession_operator.domain.observed import PodState

REASONS: Final = {
    "Stuck": Reason.AGENT_STUCK,
    "Deaf": Reason.AGENT_DEAF,
    "Mute": Reason.AGENT_MUTE,
    "ProviderFailing": Reason.PROVIDER_FAILING,
    "Disconnected": Reason.AGENT_DISCONNECTED,
}
"""By the control port's own words; what this release does not know is no trouble that it could name."""


def note_health(status: Status, state: PodState | None, now: float) -> Status:
    """A session whose agent was never in trouble has no such condition; a pod that is silent changes nothing."""
    if state is None:
        return status
    reason = REASONS.get(state.health)
    if reason is None and find(status.conditions, ConditionType.AGENT_HEALTHY) is None:
        return status
    return replace(status, conditions=put(status.conditions, _condition(reason, state.health_message), now))


def _condition(reason: Reason | None, message: str) -> Condition:
    if reason is None:
        return Condition(ConditionType.AGENT_HEALTHY, "True", Reason.HEALTHY, "The agent works again")
    return Condition(ConditionType.AGENT_HEALTHY, "False", reason, message)
