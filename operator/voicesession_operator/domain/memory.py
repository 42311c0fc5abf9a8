"""MemoryReady: says that memory is in trouble; never holds up speech, and costs nothing while all is well."""

from dataclasses import replace

from voicesession_operator.api.conditions import Condition, find, put
from voicesession_operator.api.reasons import ConditionType, Reason
from voicesession_operator.api.session import Status
from voicesession_operator.domain.observed import Observed


def note_memory(status: Status, observed: Observed, now: float) -> Status:
    """Set MemoryReady from what the pod says; a session whose memory never failed has no such condition."""
    if observed.pod_state is None:
        return status
    known = find(status.conditions, ConditionType.MEMORY_READY) is not None
    trouble = observed.pod_state.memory_trouble
    if not trouble and not known:
        return status
    return replace(status, conditions=put(status.conditions, _condition(trouble), now))


def _condition(trouble: str) -> Condition:
    if trouble:
        return Condition(ConditionType.MEMORY_READY, "False", Reason.MEMORY_UNAVAILABLE, trouble)
    return Condition(ConditionType.MEMORY_READY, "True", Reason.MEMORY_AVAILABLE, "Memory is available again")
