"""Kubernetes events: one for each change between the stored status and the new one, hence none for a retry."""

from typing import Final

from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.constants import AT_ANNOTATION
from voicesession_common.api.reasons import ConditionType, EndReason, Reason, ResetOutcome
from voicesession_common.api.voicesession import Status

from voicesession_operator.domain.actions import Event
from voicesession_operator.domain.observed import Observed


def visits(old: Status, seen: Status) -> tuple[Event, ...]:
    """From the stored status to what was seen since; a visit that only the agent has seen is told when it is over."""
    count = f"Humans in the room: {seen.humans}"
    if seen.humans > old.humans:
        first = None if old.first_human_at == seen.first_human_at else seen.first_human_at
        return (Event("Normal", str(Reason.HUMAN_JOINED), count, _at(first)),)
    just_left = old.last_human_left_at is None and seen.last_human_left_at is not None
    if seen.humans == old.humans and not just_left:
        return ()
    how = f"; the last one left ({seen.last_human_left_reason})" if seen.last_human_left_reason else ""
    return (Event("Normal", str(Reason.HUMAN_LEFT), count + how, _at(seen.last_human_left_at)),)


def _at(moment: float | None) -> tuple[tuple[str, float], ...]:
    """The status tells the same moment: whoever reads both must not take them for two."""
    return () if moment is None else ((AT_ANNOTATION, moment),)


WATCHED: Final = (
    ConditionType.ROOM_READY,
    ConditionType.AGENT_JOINED,
    ConditionType.AGENT_HEALTHY,
    ConditionType.MEMORY_READY,
)
ORDINARY: Final = frozenset(
    {
        Reason.ROOM_CREATING,
        Reason.STARTING,
        Reason.RESETTING,
        Reason.AGENT_ABSENT,
        Reason.POD_LOST,
        Reason.FINISHED,
    }
)
"""Reasons for which a condition is not True and yet nothing is wrong, or another event says it better."""
PLANNED_ENDS: Final = frozenset(
    {EndReason.LAST_HUMAN_LEFT, EndReason.NOBODY_CAME, EndReason.IDLE, EndReason.MAX_DURATION, EndReason.REQUESTED}
)


def events_between(old: Status, seen: Status, new: Status, observed: Observed) -> tuple[Event, ...]:
    """What people should be told about this change of status; `seen` is the new one before anything was decided."""
    return (
        *_troubles(old, new),
        *_losses(old, new),
        *_refusals(old, new),
        *_ready(old, new, observed),
        *visits(old, seen),
        *_resets(old, new),
        *_finished(old, new),
    )


def _troubles(old: Status, new: Status) -> tuple[Event, ...]:
    changed = [(find_condition(old.conditions, kind), find_condition(new.conditions, kind)) for kind in WATCHED]
    return tuple(
        Event("Warning", str(after.reason), after.message)
        for before, after in changed
        if after is not None and _is_new_trouble(before, after)
    )


def _is_new_trouble(before: Condition | None, after: Condition) -> bool:
    if after.status == "True" or after.reason in ORDINARY:
        return False
    if after.type == ConditionType.AGENT_JOINED and after.status == "Unknown":
        return False  # RoomReady says the same
    return before is None or before.reason != after.reason


def _losses(old: Status, new: Status) -> tuple[Event, ...]:
    events = []
    if old.room_sid and new.room_sid != old.room_sid:
        events.append(Event("Warning", str(Reason.ROOM_RECREATED), f"Room {new.room_name} was lost and made again"))
    if new.replacements > old.replacements:
        pod = new.next_pod or new.agent_pod or "the next one"
        message = f"A pod of the agent was lost; {pod} is replacement {new.replacements}"
        events.append(Event("Warning", str(Reason.AGENT_REPLACED), message))
    return tuple(events)


def _refusals(old: Status, new: Status) -> tuple[Event, ...]:
    if not new.refused_request or new.refused_request == old.refused_request:
        return ()
    wanted = "no RFC 3339 time such as 2026-01-31T12:00:00Z; there is no reset"
    message = f'Annotation {constants.RESET_REQUESTED_AT_ANNOTATION}: "{new.refused_request}" is {wanted}'
    return (Event("Warning", str(Reason.RESET_REQUEST_INVALID), message),)


def _resets(old: Status, new: Status) -> tuple[Event, ...]:
    events = []
    last = new.last_reset
    if old.next_pod and new.agent_pod == old.next_pod:
        events.append(Event("Normal", str(Reason.RECYCLED), f"Pod {new.agent_pod} has taken over"))
    if last is None or last == old.last_reset:
        return tuple(events)
    what = f"Reset {new.resets} ({last.cause})"
    if last.outcome == ResetOutcome.ESCALATED and last.completed_at is None:
        events.append(Event("Warning", str(Reason.RESET_ESCALATED), f"{what} took too long; the pod is replaced"))
    if last.completed_at is not None:
        how = "" if last.outcome == ResetOutcome.COMPLETE else ", in another pod"
        message = f"{what} complete after {last.completed_at - last.started_at:.2f} s{how}"
        events.append(Event("Normal", str(Reason.RESET_COMPLETE), message))
    return tuple(events)


def _ready(old: Status, new: Status, observed: Observed) -> tuple[Event, ...]:
    if old.ready_at is not None or new.ready_at is None:
        return ()
    moments = _steps_to_ready(new, new.ready_at, observed)
    return (Event("Normal", str(Reason.READY), f"{new.agent_identity} is in room {new.room_name}", moments),)


def _steps_to_ready(new: Status, ready_at: float, observed: Observed) -> tuple[tuple[str, float], ...]:
    """The pod's clock may be off, or tell no number: it is kept between the operator's first look and Ready."""
    pod = next((pod for pod in observed.pods if pod.name == new.agent_pod), None)
    state = observed.state_of(pod)
    if pod is None or state is None:
        return ()
    began = ready_at if new.started_at is None else new.started_at
    told = {constants.BOUND_AT_ANNOTATION: state.timings.bound, constants.JOINED_AT_ANNOTATION: state.timings.joined}
    steps = ((name, min(max(began, at), ready_at)) for name, at in told.items() if at is not None)
    return ((constants.POD_CREATED_AT_ANNOTATION, pod.created_at), *steps)


def _finished(old: Status, new: Status) -> tuple[Event, ...]:
    finished = find_condition(new.conditions, ConditionType.FINISHED)
    if old.finished_at is not None or new.finished_at is None or finished is None:
        return ()
    kind = "Normal" if new.end_reason in PLANNED_ENDS else "Warning"
    return (Event(kind, str(Reason.FINISHED), f"{finished.reason}: {finished.message}"),)
